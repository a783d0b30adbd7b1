package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/metadata"
)

// state is one line for a person: what the card holds, or what it waits for and since when.
func (a *agent) state() string {
	switch {
	case a.card.Manage == config.LinkUp:
		return "link up only, as configured"
	case a.converged && a.degraded:
		return fmt.Sprintf("degraded: %s by its lease alone, %s", a.lease.Addr, a.whyNot())
	case a.converged && a.set():
		return a.holds()
	case a.converged && !a.leased():
		return fmt.Sprintf("waiting for DHCP for %s; %s", since(a.leaseAt), a.holds())
	case a.converged:
		return a.holds() + "; " + a.whyNot()
	case a.settledDown() && a.leasing == "":
		return fmt.Sprintf("waiting for %s: its carrier, or a network manager's word whose it is, for %s", a.snap.Name, since(a.begun))
	case a.settledDown() && a.leasing != native:
		return fmt.Sprintf("waiting for %s to add %s for %s", a.leasing, first(a.settled), since(a.begun))
	}
	return fmt.Sprintf("waiting for %s for %s", a.whyNot(), since(a.begun))
}

func (a *agent) holds() string {
	c := a.settled
	if c.Primary {
		return fmt.Sprintf("primary card, %s", plural(extra(c), "secondary address", "secondary addresses"))
	}
	s := fmt.Sprintf("%s, table %d", first(c), 10000+c.N())
	if n := extra(c); n > 0 {
		s = fmt.Sprintf("%s and %d more, table %d", first(c), n, 10000+c.N())
	}
	if a.lease != nil {
		s += ", lease " + until(a.lease)
	}
	return s
}

func first(c metadata.Interface) string {
	for _, list := range [][]string{texts(c.Addrs4.Value), texts(c.Addrs6.Value)} {
		if len(list) > 0 {
			return list[0]
		}
	}
	return "no address"
}

func extra(c metadata.Interface) int { return max(0, len(c.Addrs4.Value)+len(c.Addrs6.Value)-1) }

func texts[T fmt.Stringer](list []T) []string {
	out := make([]string, 0, len(list))
	for _, x := range list {
		out = append(out, x.String())
	}
	return out
}

func until(l *dhcp.Lease) string {
	if l.Expires == dhcp.Infinite {
		return "without end"
	}
	return "until " + l.Start.Add(l.Expires).Format("15:04:05")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func since(t time.Time) string { return time.Since(t).Truncate(time.Second).String() }

// whyNot says what is missing from the metadata.
func (a *agent) whyNot() string {
	switch err := a.readErr; {
	case err == nil && !a.answered:
		return "the metadata's first answer"
	case err == nil && !metadata.Same(a.settled, a.last):
		return "a second reading, because the metadata dropped something"
	case err == nil:
		return "the kernel"
	case errors.Is(err, metadata.ErrUnknownMAC):
		return fmt.Sprintf("the metadata to know %s", a.snap.MAC)
	case errors.Is(err, metadata.ErrNotReady):
		return fmt.Sprintf("the metadata to publish %s (%v)", a.snap.MAC, err)
	default:
		return fmt.Sprintf("the metadata (%s)", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

// report tells systemd or the terminal, when there is something new to tell.
func (a *agent) report() { a.progress(a.state()) }
