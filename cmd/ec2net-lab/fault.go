package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ec2net/test/lab"

	"github.com/spf13/cobra"
)

func faultCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fault",
		Short: "Make the metadata or DHCP server fail",
		Long: `Make the lab's servers fail in the ways that a cloud's do. Every fault lasts
until it is cleared, unless --times or --for bounds it; --skip lets some
requests pass first.`,
		Example: `  ec2net-lab fault imds --status 503 --retry-after 2 --times 3
  ec2net-lab fault imds --interface eth1 --absent --for 20s    not published yet
  ec2net-lab fault imds --interface eth1 --path device-number --value 0
  ec2net-lab fault imds --path api/token --body html
  ec2net-lab fault dhcp --interface eth1 --silent
  ec2net-lab fault dhcp --on renewing --nak
  ec2net-lab fault squat eth1 10.0.2.37
  ec2net-lab fault metadata silent

On Azure:
  ec2net-lab fault imds --path 'instance/network/interface/*/ipv6' --absent
  ec2net-lab fault imds --interface eth2 --json null
  ec2net-lab fault imds --path instance/network/interface --reverse
  ec2net-lab fault limit 0
  ec2net-lab fault list
  ec2net-lab fault clear imds:1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(imdsFaultCommand(), dhcpFaultCommand(), squatCommand(), reachCommand(), limitCommand(), versionsCommand(), faultListCommand(), faultClearCommand())
	return cmd
}

func imdsFaultCommand() *cobra.Command {
	var f lab.Fault
	var body, value, raw string
	var headers []string
	cmd := &cobra.Command{
		Use:   "imds",
		Short: "Make the metadata server answer wrongly",
		Long: `Make the metadata server answer wrongly. Paths are below /latest/, on Azure
below /metadata/, on Oracle's cloud below /opc/v2/, on Google's below
/computeMetadata/v1/, and below the interface's own with --interface: * stands
for any text within a segment, ** across segments. A body is html, binary,
empty, huge, endless, short, cut, or any text.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.Body = lab.Body(body)
			if cmd.Flags().Changed("value") {
				f.Value = &value
			}
			if cmd.Flags().Changed("json") {
				f.JSON = &raw
			}
			for _, h := range headers {
				name, value, ok := strings.Cut(h, "=")
				if !ok {
					return fmt.Errorf("imds: header %q is not NAME=VALUE", h)
				}
				f.Header = append(f.Header, [2]string{name, value})
			}
			var id int
			err := askLab(cmd, "imds", f, &id)
			return report(cmd, fmt.Sprintf("imds:%d", id), err)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.Path, "path", "", "`pattern` of the paths to spoil (default all)")
	fl.StringVar(&f.Interface, "interface", "", "only keys of this interface")
	fl.StringVar(&f.Via, "via", "", "only requests that came by this interface")
	fl.StringVar(&f.Method, "method", "", "only requests of this method; PUT is the token's")
	fl.IntVar(&f.Skip, "skip", 0, "let so many requests pass first")
	fl.IntVar(&f.Times, "times", 0, "spoil so many (default all)")
	fl.DurationVar(&f.For, "for", 0, "spoil for this long (default until cleared)")
	fl.DurationVar(&f.Delay, "delay", 0, "wait before the answer")
	fl.DurationVar(&f.Drip, "drip", 0, "wait before every byte")
	fl.IntVar(&f.Status, "status", 0, "answer with this status")
	fl.StringVar(&f.RetryAfter, "retry-after", "", "with this Retry-After header")
	fl.StringVar(&body, "body", "", "with this body, see above")
	fl.StringArrayVar(&headers, "header", nil, "with `NAME=VALUE`; NAME= takes it away")
	fl.StringVar(&f.Redirect, "redirect", "", "redirect there")
	fl.BoolVar(&f.Reset, "reset", false, "reset the connection")
	fl.BoolVar(&f.Close, "close", false, "close the connection")
	fl.BoolVar(&f.Absent, "absent", false, "the keys do not exist and are not listed")
	fl.StringVar(&value, "value", "", "the keys hold this")
	fl.StringVar(&raw, "json", "", "not EC2: this replaces that part of the document")
	fl.BoolVar(&f.Reverse, "reverse", false, "not EC2: the list is the other way round")
	return cmd
}

func dhcpFaultCommand() *cobra.Command {
	var f lab.DHCPFault
	var offer, router, server, mangle string
	var options []string
	mask := -1
	cmd := &cobra.Command{
		Use:   "dhcp",
		Short: "Make the DHCP server answer wrongly",
		Long: `Make the DHCP server answer wrongly. Messages are discover, request, selecting,
init-reboot, renewing, rebinding and inform. One is broken as truncated,
overload, repeated, nomagic, stub or garbage. CODE=HEX sends an option as it
is; CODE= leaves it out.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for text, into := range map[*string]func(string) error{
				&offer:  func(s string) error { return f.Offer.UnmarshalText([]byte(s)) },
				&router: func(s string) error { return f.Router.UnmarshalText([]byte(s)) },
				&server: func(s string) error { return f.Server.UnmarshalText([]byte(s)) },
			} {
				if err := into(*text); err != nil {
					return fmt.Errorf("dhcp: %w", err)
				}
			}
			if cmd.Flags().Changed("mask") {
				f.Mask = &mask
			}
			f.Mangle = lab.Mangle(mangle)
			var err error
			var id int
			if f.Options, err = dhcpOptions(options); err == nil {
				err = askLab(cmd, "dhcp", f, &id)
			}
			return report(cmd, fmt.Sprintf("dhcp:%d", id), err)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.Interface, "interface", "", "only this interface's client")
	fl.StringSliceVar(&f.On, "on", nil, "only these messages, see above")
	fl.IntVar(&f.Skip, "skip", 0, "let so many messages pass first")
	fl.IntVar(&f.Times, "times", 0, "spoil so many (default all)")
	fl.DurationVar(&f.For, "for", 0, "spoil for this long (default until cleared)")
	fl.BoolVar(&f.Silent, "silent", false, "do not answer")
	fl.BoolVar(&f.NAK, "nak", false, "refuse every request")
	fl.DurationVar(&f.Delay, "delay", 0, "answer late")
	fl.StringVar(&offer, "offer", "", "give this address")
	fl.IntVar(&mask, "mask", -1, "give this prefix length, 0 to 32")
	fl.StringVar(&router, "router", "", "name this router")
	fl.BoolVar(&f.NoRouter, "no-router", false, "name no router")
	fl.StringVar(&server, "server", "", "use this server identifier")
	fl.IntVar(&f.MTU, "mtu", 0, "give this MTU")
	fl.DurationVar(&f.Lease, "lease", 0, "lease time; 1193046h28m15s is infinite")
	fl.DurationVar(&f.T1, "t1", 0, "renewal time")
	fl.DurationVar(&f.T2, "t2", 0, "rebinding time")
	fl.StringVar(&mangle, "mangle", "", "break the message, see above")
	fl.StringArrayVar(&options, "option", nil, "send `CODE=HEX` instead of that option (repeatable)")
	return cmd
}

// dhcpOptions reads CODE=HEX.
func dhcpOptions(texts []string) (map[uint8][]byte, error) {
	out := map[uint8][]byte{}
	for _, text := range texts {
		code, value, ok := strings.Cut(text, "=")
		n, err := strconv.ParseUint(code, 10, 8)
		if err != nil || !ok || n == 0 || n == 255 {
			return nil, fmt.Errorf("option %q is not CODE=HEX with a code of 1 to 254", text)
		}
		b, err := hex.DecodeString(strings.ReplaceAll(value, ":", ""))
		if err != nil || len(b) > 255 {
			return nil, fmt.Errorf("option %q: its value is not up to 255 bytes in hexadecimal", text)
		}
		out[uint8(n)] = b
	}
	return out, nil
}

func squatCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "squat INTERFACE ADDRESS",
		Short: "Let a stranger on the interface's link answer ARP for an address",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := addrs(args[1:])
			var id int
			if err == nil {
				err = askLab(cmd, "squat", squatArgs{args[0], a[0]}, &id)
			}
			return report(cmd, fmt.Sprintf("squat:%d", id), err)
		},
	}
}

func reachCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "metadata on|refused|silent",
		Short: "Take the metadata server off the network",
		Long: `Refused: connections are refused. Silent: packets to it vanish. On: as it
should be.`,
		ValidArgs: []string{"on", "refused", "silent"},
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return report(cmd, "the metadata server is "+args[0], askLab(cmd, "reach", args[0], nil))
		},
	}
}

func faultListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the faults at work",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var l faultList
			if err := askLab(cmd, "faults", struct{}{}, &l); err != nil {
				return fmt.Errorf("list: %w", err)
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), l)
			}
			l.write(cmd.OutOrStdout())
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for machines")
	return cmd
}

func (l faultList) write(w io.Writer) {
	writeFaults(w, "imds", l.IMDS)
	writeFaults(w, "dhcp", l.DHCP)
	writeFaults(w, "squat", l.Squatters)
}

// writeFaults writes one line for each fault, its settings as JSON has them.
func writeFaults[F any](w io.Writer, kind string, faults map[int]F) {
	for _, id := range slices.Sorted(maps.Keys(faults)) {
		var line strings.Builder
		if err := writeLine(&line, faults[id]); err != nil {
			continue // a fault came as JSON and always goes back into it
		}
		fmt.Fprintf(w, "%s:%d  %s\n", kind, id, strings.TrimSpace(line.String()))
	}
}

func faultClearCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "clear [FAULT]...",
		Short: "End faults, or all of them",
		RunE: func(cmd *cobra.Command, args []string) error {
			if args == nil {
				args = []string{}
			}
			return report(cmd, "cleared", askLab(cmd, "clear", args, nil))
		},
	}
}
