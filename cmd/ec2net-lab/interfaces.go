package main

import (
	"fmt"
	"net/netip"
	"strings"

	"ec2net/metadata"
	"ec2net/test/lab"

	"github.com/spf13/cobra"
)

// addrs reads addresses from a command line.
func addrs(texts []string) (out []netip.Addr, err error) {
	for _, text := range texts {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return nil, fmt.Errorf("%q is not an IP address", text)
		}
		out = append(out, a.Unmap())
	}
	return out, nil
}

func prefixes(texts []string) (out []netip.Prefix, err error) {
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not a prefix such as 10.0.2.128/28", text)
		}
		out = append(out, p)
	}
	return out, nil
}

func attachCommand() *cobra.Command {
	var a attachArgs
	var addresses, delegated, eips []string
	var mac string
	cmd := &cobra.Command{
		Use:   "attach [NAME]",
		Short: "Plug an interface into the instance",
		Long: `Plug an interface into the instance. It appears down and bare; the metadata
and DHCP know it. What is left out is chosen: eth1 without an address is seed
002's (10.0.2.37), any other interface gets a free address of its subnet.`,
		Example: "  ec2net-lab attach\n  ec2net-lab attach eth2 --subnet subnet-a\n  ec2net-lab attach eth2 --address 10.0.2.50 --eip 10.0.2.50=203.0.113.50",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				a.Interface.Name = args[0]
			}
			a.Prompt = cmd.Flags().Changed("late")
			err := fillInterface(&a.Interface, addresses, delegated, eips, mac)
			var got lab.Interface
			if err == nil {
				err = askLab(cmd, "attach", a, &got)
			}
			if err != nil {
				return fmt.Errorf("attach: %w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is attached: %s\n", got.Name, describeInterface(got))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&addresses, "address", nil, "an `address`; a family's first is primary (repeat)")
	f.StringArrayVar(&delegated, "prefix", nil, "a delegated prefix (repeatable)")
	f.StringArrayVar(&eips, "eip", nil, "an elastic IP, as `PRIVATE=PUBLIC` (repeatable)")
	f.StringVar(&mac, "mac", "", "hardware address")
	f.StringVar(&a.Interface.ID, "id", "", "ENI ID")
	f.StringVar(&a.Interface.Subnet, "subnet", "", "`name`, as status shows it; on Azure subnet1, 2 or 3")
	f.IntVar(&a.Interface.DeviceNumber, "device-number", 0, "device number (default the next free one)")
	f.IntVar(&a.Interface.NetworkCard, "network-card", 0, "index of the physical network card")
	f.IntVar(&a.Interface.MTU, "mtu", 0, "MTU of the network (default the cloud's)")
	f.DurationVar(&a.Interface.Late, "late", 0, "until the metadata show it (default the cloud's)")
	f.BoolVar(&a.Interface.Forwarding, "forwarding", false, "the interface may send what is not its own")
	return cmd
}

func fillInterface(k *lab.Interface, addresses, delegated, eips []string, mac string) error {
	all, err := addrs(addresses)
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.Is4() {
			k.Addrs4 = append(k.Addrs4, a)
		} else {
			k.Addrs6 = append(k.Addrs6, a)
		}
	}
	ps, err := prefixes(delegated)
	if err != nil {
		return err
	}
	for _, p := range ps {
		if p.Addr().Is4() {
			k.Prefixes4 = append(k.Prefixes4, p)
		} else {
			k.Prefixes6 = append(k.Prefixes6, p)
		}
	}
	k.EIPs = map[netip.Addr]netip.Addr{}
	for _, e := range eips {
		private, public, _ := strings.Cut(e, "=")
		pair, err := addrs([]string{private, public})
		if err != nil {
			return fmt.Errorf("--eip %q is not PRIVATE=PUBLIC: %w", e, err)
		}
		k.EIPs[pair[0]] = pair[1]
	}
	if mac != "" {
		k.MAC, err = metadata.ParseMAC(mac)
	}
	return err
}

// describeInterface is an interface in one line.
func describeInterface(k lab.Interface) string {
	parts := []string{k.ID, k.MAC.String(), fmt.Sprintf("device %d", k.DeviceNumber), k.Subnet}
	for _, a := range append(append([]netip.Addr{}, k.Addrs4...), k.Addrs6...) {
		text := a.String()
		if public, ok := k.EIPs[a]; ok {
			text += " (" + public.String() + ")"
		}
		parts = append(parts, text)
	}
	for _, p := range append(append([]netip.Prefix{}, k.Prefixes4...), k.Prefixes6...) {
		parts = append(parts, p.String())
	}
	return strings.Join(parts, ", ")
}

func detachCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "detach INTERFACE",
		Short: "Unplug an interface",
		Long: `Unplug an interface: it disappears from the host at once. INTERFACE is a name,
host/name, MAC or ENI ID.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return report(cmd, fmt.Sprintf("%s is detached", args[0]), askLab(cmd, "detach", args[0], nil))
		},
	}
}

// report prints a line for a success, and passes a failure on with the command's name.
func report(cmd *cobra.Command, done string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", cmd.Name(), err)
	}
	fmt.Fprintln(cmd.OutOrStdout(), done)
	return nil
}

func assignCommand() *cobra.Command {
	var eip string
	var delegated []string
	cmd := &cobra.Command{
		Use:   "assign INTERFACE [ADDRESS]...",
		Short: "Give an interface more addresses",
		Long: `Give an interface secondary addresses, or delegate prefixes to it. Without
either it is a free address of its subnet.`,
		Example: "  ec2net-lab assign eth1\n  ec2net-lab assign eth1 10.0.2.40 --eip 203.0.113.40\n  ec2net-lab assign eth1 --prefix 10.0.2.128/28",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := grantOf(args, delegated)
			if err == nil && eip != "" {
				a.EIP, err = netip.ParseAddr(eip)
			}
			if err == nil {
				err = askLab(cmd, "assign", a, &a)
			}
			return report(cmd, fmt.Sprintf("%s has%s", a.Interface, a.list()), err)
		},
	}
	cmd.Flags().StringVar(&eip, "eip", "", "an elastic IP for the first address")
	cmd.Flags().StringArrayVar(&delegated, "prefix", nil, "a prefix to delegate (repeatable)")
	return cmd
}

func grantOf(args, delegated []string) (a grantArgs, err error) {
	a.Interface = args[0]
	if a.Addrs, err = addrs(args[1:]); err != nil {
		return a, err
	}
	a.Prefixes, err = prefixes(delegated)
	return a, err
}

func (a grantArgs) list() string {
	var out strings.Builder
	for _, x := range a.Addrs {
		out.WriteString(" " + x.String())
	}
	for _, p := range a.Prefixes {
		out.WriteString(" " + p.String())
	}
	return out.String()
}

func releaseCommand() *cobra.Command {
	var delegated []string
	cmd := &cobra.Command{
		Use:   "release INTERFACE [ADDRESS]...",
		Short: "Take addresses from an interface",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := grantOf(args, delegated)
			if err == nil && len(a.Addrs)+len(a.Prefixes) == 0 {
				err = fmt.Errorf("which address of %s?", args[0])
			}
			if err == nil {
				err = askLab(cmd, "release", a, nil)
			}
			return report(cmd, fmt.Sprintf("%s no longer has%s", a.Interface, a.list()), err)
		},
	}
	cmd.Flags().StringArrayVar(&delegated, "prefix", nil, "a delegated prefix (repeatable)")
	return cmd
}

func moveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "move ADDRESS FROM TO",
		Short: "Move a secondary address to another interface of the subnet",
		Args:  cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := addrs(args[:1])
			if err == nil {
				err = askLab(cmd, "move", moveArgs{a[0], args[1], args[2]}, nil)
			}
			return report(cmd, fmt.Sprintf("%s is %s's", args[0], args[2]), err)
		},
	}
}

func peerCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "peer NAME ADDRESS...",
		Short:   "Add another instance to the VPC",
		Example: "  ec2net-lab peer db 10.0.2.80\n  ec2net-lab ping db 10.0.2.37",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := addrs(args[1:])
			if err == nil {
				err = askLab(cmd, "peer", peerArgs{args[0], a}, nil)
			}
			return report(cmd, fmt.Sprintf("%s is there", args[0]), err)
		},
	}
}
