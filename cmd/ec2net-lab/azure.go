package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"ec2net/test/lab"

	"github.com/spf13/cobra"
)

// vfCommand and those that follow are for what Azure has; forward and udr are for EC2 too.
func vfCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "vf INTERFACE attach|enslave|free|detach",
		Short: "Give an interface a VF with its MAC, as on Azure, or take it away",
		Long: `Give an interface a second device with the same MAC, as accelerated networking
on Azure does: attach makes it, enslave puts it under a master, free takes it
out again, detach removes it whatever its state. Nothing may be configured on
it, and the interface's own traffic does not notice.`,
		Example:   "  ec2net-lab vf eth2 attach\n  ec2net-lab vf eth2 enslave\n  ec2net-lab vf eth2 detach",
		Args:      cobra.MatchAll(cobra.ExactArgs(2), lastOf(vfVerbs())),
		ValidArgs: vfVerbs(),
		RunE: func(cmd *cobra.Command, args []string) error {
			var v lab.VF
			err := askLab(cmd, "vf", vfArgs{args[0], args[1]}, &v)
			return report(cmd, describeVF(args[0], v), err)
		},
	}
}

// lastOf wants the last argument to be one of these.
func lastOf(allowed []string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if last := args[len(args)-1]; !slices.Contains(allowed, last) {
			return fmt.Errorf("invalid argument %q; there are %v", last, allowed)
		}
		return nil
	}
}

func vfVerbs() []string { return []string{"attach", "enslave", "free", "detach"} }

func describeVF(iface string, v lab.VF) string {
	switch {
	case !v.Attached:
		return iface + " has no VF"
	case v.Master == "":
		return fmt.Sprintf("%s has the VF %s", iface, v.Name)
	}
	return fmt.Sprintf("%s has the VF %s, under %s", iface, v.Name, v.Master)
}

type vfArgs struct{ Interface, What string }

func vf(_ context.Context, s *server, a vfArgs) (any, error) {
	var err error
	switch a.What {
	case "attach":
		_, err = s.cloud.AttachVF(a.Interface)
	case "enslave":
		err = s.cloud.EnslaveVF(a.Interface)
	case "free":
		err = s.cloud.FreeVF(a.Interface)
	case "detach":
		err = s.cloud.DetachVF(a.Interface)
	default:
		err = fmt.Errorf("a VF can be told to %v, not to %q", vfVerbs(), a.What)
	}
	if err != nil {
		return nil, err
	}
	return s.cloud.VFOf(a.Interface)
}

func udrCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "udr",
		Short: "Send a subnet's traffic through an interface (user-defined routes)",
		Long: `Give a subnet a route of its own: what its hosts send to the prefix goes to
the interface that has the next hop's address, if that interface may forward
("ec2net-lab forward"). The longest prefix counts, the network's own included.
The metadata and 168.63.129.16 are not subject to it.`,
		Example: "  ec2net-lab udr add subnet3 0.0.0.0/0 172.22.5.132\n  ec2net-lab udr list\n  ec2net-lab udr delete subnet3 0.0.0.0/0",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{Use: "add SUBNET PREFIX NEXTHOP", Short: "Add a route", Args: cobra.ExactArgs(3), RunE: func(cmd *cobra.Command, args []string) error {
			r, err := udrOf(args)
			if err == nil {
				err = askLab(cmd, "udr add", r, nil)
			}
			return report(cmd, r.String(), err)
		}},
		&cobra.Command{Use: "delete SUBNET PREFIX", Short: "Delete a route", Args: cobra.ExactArgs(2), RunE: func(cmd *cobra.Command, args []string) error {
			r, err := udrOf(args)
			if err == nil {
				err = askLab(cmd, "udr delete", r, nil)
			}
			return report(cmd, fmt.Sprintf("%s has no route to %s", r.Subnet, r.Prefix), err)
		}},
		&cobra.Command{Use: "list", Short: "List the routes", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			var list []lab.Route
			if err := askLab(cmd, "udr list", struct{}{}, &list); err != nil {
				return fmt.Errorf("list: %w", err)
			}
			for _, r := range list {
				fmt.Fprintln(cmd.OutOrStdout(), r)
			}
			return nil
		}},
	)
	return cmd
}

func udrOf(args []string) (r lab.Route, err error) {
	r.Subnet = args[0]
	if r.Prefix, err = netip.ParsePrefix(args[1]); err != nil {
		return r, fmt.Errorf("%q is not a prefix such as 0.0.0.0/0", args[1])
	}
	if len(args) > 2 {
		if r.NextHop, err = netip.ParseAddr(args[2]); err != nil {
			return r, fmt.Errorf("%q is not an IP address", args[2])
		}
	}
	return r, nil
}

func forwardCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "forward INTERFACE on|off",
		Short: "Let an interface forward, or not (EC2: source/destination check)",
		Args:  cobra.MatchAll(cobra.ExactArgs(2), lastOf([]string{"on", "off"})),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := askLab(cmd, "forward", forwardArgs{args[0], args[1] == "on"}, nil)
			return report(cmd, fmt.Sprintf("forwarding of %s is %s", args[0], args[1]), err)
		},
	}
}

type forwardArgs struct {
	Interface string
	On        bool
}

func probeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "probe ADDRESS:PORT",
		Short: "Probe a TCP port as an Azure load balancer does",
		Long: `Connect to a TCP port of an interface's address from 168.63.129.16 (IPv6: from
the router), as an Azure load balancer does, and say by which interface the
answer left. Exit status 0 when the connection came about.`,
		Example: "  ec2net-lab probe 172.22.5.4:22",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := netip.ParseAddrPort(args[0])
			if err != nil {
				return fmt.Errorf("probe: %q is not ADDRESS:PORT", args[0])
			}
			var p probed
			if err := askLab(cmd, "probe", to, &p); err != nil {
				return fmt.Errorf("probe: %w", err)
			}
			return p.tell(cmd, to)
		},
	}
}

// probed is what came of a probe.
type probed struct{ Interface, Problem string }

func (p probed) tell(cmd *cobra.Command, to netip.AddrPort) error {
	w := cmd.OutOrStdout()
	if p.Interface == "" {
		fmt.Fprintf(w, "%s: no answer\n", to)
	} else {
		fmt.Fprintf(w, "%s: answered by %s\n", to, p.Interface)
	}
	if p.Problem == "" {
		return nil
	}
	fmt.Fprintln(w, p.Problem)
	return status(exitFailed)
}

func probe(ctx context.Context, s *server, to netip.AddrPort) (any, error) {
	iface, err := s.cloud.Probe(ctx, to)
	if err != nil && iface == "" && !errors.Is(err, lab.ErrNoReply) {
		return nil, err
	}
	p := probed{Interface: iface}
	if err != nil {
		p.Problem = err.Error()
	}
	return p, nil
}

func rebootCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reboot",
		Short: "Reboot the instance: bare interfaces but the first, an empty /run",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return report(cmd, "the instance is up again", askLab(cmd, "reboot", struct{}{}, nil))
		},
	}
}

func limitCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "limit REQUESTS",
		Short: "Answer so many metadata requests a second, the others with 429",
		Long: `Answer so many metadata requests a second and the others with 429. Azure's
service begins with 5, EC2's without a limit, which is 0.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 0 {
				return fmt.Errorf("limit: %q is not a number of requests", args[0])
			}
			return report(cmd, fmt.Sprintf("%d requests a second", n), askLab(cmd, "limit", n, nil))
		},
	}
}

func versionsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "versions VERSION...",
		Short:   "Make Azure's metadata know only these versions, oldest first",
		Example: "  ec2net-lab fault versions 2017-04-02 2017-08-01",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return report(cmd, fmt.Sprint("the metadata knows ", args), askLab(cmd, "versions", args, nil))
		},
	}
}
