package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func execCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec NODE [-- COMMAND [ARG]...]",
		Short: "Run a command, or a shell, on a host of the lab",
		Long: `Run a command on a host of the lab: instance, client, fabric or a peer. It runs
in the host's network and mount namespace: /run is the host's own, changes to
/etc stay there, and 169.254.169.254 is the lab's metadata server. Everything
else is this machine's. Without a command it is a shell. The exit status is the
command's.`,
		Example: "  ec2net-lab exec instance -- ip addr\n  ec2net-lab exec instance\n  ec2net-lab exec fabric -- tcpdump -ni p1",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var e entrance
			if err := askLab(cmd, "enter", args[0], &e); err != nil {
				return fmt.Errorf("exec: %w", err)
			}
			command := args[1:]
			if len(command) > 0 && command[0] == "--" {
				command = command[1:]
			}
			return enterNode(e, labName(cmd), args[0], command)
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// enterNode turns this process into the command. nsenter(1) is there on every Linux distribution, and a Go
// process cannot enter a user namespace, as it has threads.
func enterNode(e entrance, name, node string, command []string) error {
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return fmt.Errorf("exec: nsenter (package util-linux) is needed: %w", err)
	}
	if len(command) == 0 {
		shell := os.Getenv("SHELL")
		if shell == "" {
			shell = "/bin/sh"
		}
		command = []string{shell}
	}
	if _, err := exec.LookPath(command[0]); err != nil && !errors.Is(err, exec.ErrDot) {
		fmt.Fprintf(os.Stderr, "ec2net-lab: exec: %v\n", err)
		return status(127) // as shells have it
	}
	args := []string{"nsenter"}
	if e.User != "" {
		args = append(args, "--user="+e.User, "--preserve-credentials")
	}
	args = append(args, "--net="+e.Net, "--mount="+e.Mount, "--")
	// Entering a mount namespace leaves the directory at its root.
	args = append(args, "/bin/sh", "-c", `cd "$0" 2>/dev/null; exec "$@"`, workDir())
	return fmt.Errorf("exec: %w", syscall.Exec(nsenter, append(args, command...), nodeEnv(os.Environ(), name, node)))
}

func workDir() string {
	if dir, err := os.Getwd(); err == nil {
		return dir
	}
	return "/"
}

// nodeEnv is the environment on a host: what points at the machine's own runtime directory is left out.
func nodeEnv(env []string, name, node string) []string {
	out := []string{"EC2NET_LAB=" + name, "EC2NET_LAB_NODE=" + node}
	for _, kv := range env {
		key, _, _ := strings.Cut(kv, "=")
		switch key {
		case "XDG_RUNTIME_DIR", "NOTIFY_SOCKET", "DBUS_SESSION_BUS_ADDRESS", "EC2NET_LAB", "EC2NET_LAB_NODE":
		default:
			out = append(out, kv)
		}
	}
	return out
}
