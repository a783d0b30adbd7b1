// Command ec2net-lab is a VPC on this machine's kernel: an instance with network interfaces, elastic IPs, a metadata
// server and DHCP, in network namespaces; or Azure's virtual network. It needs root or unprivileged user namespaces.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// status is an error that sets the exit status and has been told already.
type status int

func (s status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// run executes one command line and returns the exit status.
func run(ctx context.Context, args []string) int {
	started := false
	root := newRoot()
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if code := status(0); errors.As(err, &code) {
		return int(code)
	}
	switch {
	case err == nil:
		return 0
	case !started:
		fmt.Fprintf(os.Stderr, "ec2net-lab: %v\nSee \"%s --help\".\n", err, cmd.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(os.Stderr, "ec2net-lab: %v\n", err)
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "ec2net-lab",
		Short: "A cloud on this machine, to see ec2net work without an account",
		Long: `ec2net-lab builds a VPC out of network namespaces: an instance with network
interfaces in two subnets, elastic IPs, a client on the internet, the VPC's
router with its source/destination check, an IMDSv2 server on 169.254.169.254
and DHCP. With --cloud azure it is Azure's virtual network in the same way:
Azure's metadata and leases, IP forwarding, user-defined routes, load balancer
probes, VFs; with --cloud oci Oracle's, where a secondary interface gets no
lease; with --cloud gce Google's, where nothing is on an interface's link but
the router. It needs root or unprivileged user namespaces, and touches nothing
of the machine's own network.

    ec2net-lab demo                        two interfaces, without and with it
    ec2net-lab demo --cloud azure          egress by another one, and SSH stays

    ec2net-lab up                          build one and keep it
    ec2net-lab exec instance -- ip addr    be on the instance, client or fabric
    ec2net-lab exec instance -- ec2net up eth1 --cloud ec2
    ec2net-lab ping client 203.0.113.166   eth1's elastic IP
    ec2net-lab assign eth1                 give it another address
    ec2net-lab down

Exit status: 0 done, 1 failed, 2 wrong usage; exec returns the command's own.`,
		SilenceErrors: true, SilenceUsage: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().String("name", "default", "which lab, where there are several")
	root.AddCommand(demoCommand(), upCommand(), downCommand(), statusCommand(), logCommand(), execCommand(), pingCommand(),
		attachCommand(), detachCommand(), assignCommand(), releaseCommand(), moveCommand(), peerCommand(), udrCommand(),
		forwardCommand(), vfCommand(), probeCommand(), rebootCommand(), faultCommand(), serveCommand())
	return root
}

// labName is the value of --name.
func labName(cmd *cobra.Command) string {
	name, err := cmd.Flags().GetString("name")
	if err != nil {
		panic(err) // the root defines it
	}
	return name
}
