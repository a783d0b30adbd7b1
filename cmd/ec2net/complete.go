package main

import (
	"net"

	"github.com/spf13/cobra"

	"ec2net/metadata"
)

// Shell completion. It reads nothing but the list of devices, so that it is fast and needs no rights.

// completions tells cobra what the shell may offer for arguments and flags.
func (p *program) completions(root *cobra.Command) {
	for _, c := range root.Commands() {
		c.ValidArgsFunction = interfaceArgs
	}
	if c, _, err := root.Find([]string{"explain"}); err == nil {
		c.ValidArgsFunction = cobra.NoFileCompletions
		_ = c.RegisterFlagCompletionFunc("in", func(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			return interfaceArgs(c, nil, typed)
		})
	}
	fixed := map[string][]string{
		"cloud":     append([]string{"auto"}, metadata.Clouds()...),
		"log-level": {"error", "warning", "info", "debug"},
	}
	for flag, values := range fixed {
		// An error would mean that the flag does not exist, which the tests would notice.
		_ = root.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
}

// interfaceArgs offers the host's network interfaces; where a command takes one, only for the first argument.
func interfaceArgs(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 && c.Name() != "scan" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	list, _ := net.Interfaces()
	for _, i := range list {
		if len(i.HardwareAddr) == 6 && i.Flags&net.FlagLoopback == 0 {
			out = append(out, i.Name)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
