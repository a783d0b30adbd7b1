package main

import (
	"fmt"
	"net/netip"
	"time"

	"ec2net/test/lab"

	"github.com/spf13/cobra"
)

func pingCommand() *cobra.Command {
	var a pingArgs
	var source string
	cmd := &cobra.Command{
		Use:   "ping NODE ADDRESS",
		Short: "Send echo requests from a host of the lab",
		Long: `Send ICMP echo requests from a host of the lab. Exit status 0 when all were
answered. When not, it says what the fabric's source/destination check dropped
meanwhile.`,
		Example: "  ec2net-lab ping client 203.0.113.166\n  ec2net-lab ping instance 198.51.100.146 --source 10.0.2.37",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := addrs(args[1:])
			if err == nil && source != "" {
				a.Source, err = netip.ParseAddr(source)
			}
			if err == nil && (a.Count < 1 || a.Count > 1000) {
				err = fmt.Errorf("--count %d is not in 1 to 1000", a.Count)
			}
			var out pong
			if err == nil {
				a.From, a.To = args[0], to[0]
				err = askLab(cmd, "ping", a, &out)
			}
			if err != nil {
				return fmt.Errorf("ping: %w", err)
			}
			return tellPong(cmd, a, out)
		},
	}
	cmd.Flags().IntVarP(&a.Count, "count", "c", 2, "how many")
	cmd.Flags().DurationVarP(&a.Timeout, "timeout", "W", time.Second, "how long to wait for each answer")
	cmd.Flags().StringVarP(&source, "source", "I", "", "source address")
	return cmd
}

func tellPong(cmd *cobra.Command, a pingArgs, out pong) error {
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%s: %d of %d answered", a.To, len(out.RTT), a.Count)
	if len(out.RTT) > 0 {
		fmt.Fprintf(w, ", the last in %v", out.RTT[len(out.RTT)-1].Round(time.Microsecond))
	}
	fmt.Fprintln(w)
	if len(out.RTT) == a.Count {
		return nil
	}
	fmt.Fprintln(w, out.Problem)
	for _, d := range out.Dropped {
		fmt.Fprintln(w, tellDrop(d))
	}
	return status(exitFailed)
}

func tellDrop(d lab.Drop) string {
	return fmt.Sprintf("the source check dropped %d packets that left by %s with the source %s, which is not %s's", d.Packets, d.Interface, d.Source, d.Interface)
}
