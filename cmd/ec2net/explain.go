package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"ec2net/doctor"
)

// explainCommand is `ec2net explain SRC DST`. It walks the policy rules as the kernel does and prints the walk on
// stdout, with the kernel's own answer (RTM_GETROUTE) beside it. No packet is sent and nothing is changed. Status 5:
// the packet or its answer would be lost; 2: the question makes no sense on this host.
func (p *program) explainCommand() *cobra.Command {
	var q doctor.Question
	var mark string
	c := &cobra.Command{
		Use:   "explain SRC DST",
		Short: "show the path of a packet and of its answer, rule by rule",
		Long: `Show the path of a packet from address SRC to address DST, and of its answer:
each policy rule in the order that the kernel walks them, whether it matches
(+), does not match (-) or decides (>), and why; the route, the interface, and
whether the reverse path check accepts the packet. The kernel's own lookup is
shown for comparison, and any difference is reported.

A packet from an address of this host is one that the host sends. A packet to
an address of this host comes in by the interface that has the address; if
several have it, by the one that the cloud grants it to. Use --in to choose
another. Nothing is sent. Exit status 5: the packet or its answer would be
lost.`,
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error { return p.explain(args[0], args[1], mark, q) },
	}
	c.Flags().StringVar(&q.In, "in", "", "the packet comes in by this `interface`")
	c.Flags().StringVar(&mark, "mark", "", "give both packets this firewall mark, a `number` like 0x80")
	c.Flags().BoolVar(&p.json, "json", false, "print JSON")
	return c
}

// explain answers one question; q has the flags.
func (p *program) explain(src, dst, mark string, q doctor.Question) (err error) {
	var errs [3]error
	q.UID = uint32(os.Geteuid())
	q.Src, errs[0] = address("SRC", src)
	q.Dst, errs[1] = address("DST", dst)
	q.Mark, errs[2] = markOf(mark)
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	if own, invalid := ownName(q.In); invalid == nil {
		q.In = own
	}
	fib, err := doctor.ReadFIB()
	if err != nil {
		return err
	}
	fib.Origins = doctor.ReadOrigins(os.DirFS("/"))
	e, err := doctor.Explain(fib, q, doctor.Ask)
	switch {
	case errors.Is(err, doctor.ErrQuestion):
		return fail(exitUsage, "explain %s %s: %w", src, dst, err)
	case err != nil:
		return err
	}
	if err := p.printExplanation(e); err != nil {
		return err
	}
	if len(e.Problems) > 0 {
		return quiet(exitDifferences)
	}
	return nil
}

// printExplanation prints the answer as text or JSON.
func (p *program) printExplanation(e doctor.Explanation) error {
	if !p.json {
		_, err := fmt.Fprint(p.out, e)
		return err
	}
	return p.encode(e)
}

// markOf reads a firewall mark in any notation of Go and ip(8), such as 0x80; "" is no mark.
func markOf(s string) (uint32, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil {
		return 0, fail(exitUsage, "--mark %.40q is not a number from 0 to 0xffffffff", s)
	}
	return uint32(n), nil
}

// address reads an IP address; an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) is the IPv4 address.
func address(what, s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return a, fail(exitUsage, "%s %.60q is not an IP address, such as 10.0.2.37", what, s)
	}
	return a.Unmap(), nil
}
