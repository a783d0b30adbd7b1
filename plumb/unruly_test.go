package plumb

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// churn has ip(8) add and delete, as fast as it can, what concerns nobody, until the test ends.
func churn(t *testing.T, command func(i int, verb string) string) {
	t.Helper()
	var lines strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&lines, "%s\n%s\n", command(i, "add"), command(i, "del"))
	}
	script := lines.String()
	c := exec.Command("ip", "-force", "-batch", "-")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil { // by this thread, which is in the test's namespace
		t.Fatal(err)
	}
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		for {
			if _, err := in.Write([]byte(script)); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = c.Process.Kill(); <-fed; _ = c.Wait() })
}

// TestRulesInAChurn: while others add and delete rules before ours, the kernel's list of them, which comes
// in parts, leaves out some that were there all the time and has others twice, and does not say so.
func TestRulesInAChurn(t *testing.T) {
	host(t)
	l := open(t, "eth1")
	reconcile(t, l, many(150))
	want := read(t, l).Rules
	if len(want) != 151 {
		t.Fatalf("%d rules", len(want))
	}
	churn(t, func(i int, verb string) string {
		return fmt.Sprintf("rule %s from 172.21.%d.%d lookup 500 pref 4000", verb, i/250, i%250)
	})
	wrong := 0
	for layout := range 5 { // in one of them, a part ends among ours
		var b strings.Builder
		for i := range 130 {
			fmt.Fprintf(&b, "rule add from 172.20.%d.%d lookup 500 pref 5000\n", layout, i)
		}
		batch(t, b.String())
		for range 30 {
			if have := read(t, l).Rules; len(have) != len(want) || slices.ContainsFunc(want, func(r Rule) bool { return !slices.Contains(have, r) }) {
				wrong++
			}
		}
	}
	if wrong > 1 { // what is left to chance
		t.Errorf("%d of 150 readings have other rules", wrong)
	}
	t.Logf("%d of 150 readings have other rules", wrong)
}

// TestUnpluggedWhileRead: whichever question the interface does not live to hear, it is gone.
func TestUnpluggedWhileRead(t *testing.T) {
	secondHost(t)
	for at := 2; ; at++ {
		batch(t, "link del eth1\nlink add eth1 address 02:00:00:00:00:11 type veth peer name gw1\n")
		l := open(t, "eth1")
		l.scope.Peers = append(l.scope.Peers, mac("02:00:00:00:00:12"))
		real, n := l.rt.execute, 0
		l.rt.execute = func(answer uint16, list ...*nl.NetlinkRequest) ([][]byte, []error) {
			if n++; n == at {
				ip(t, "link del eth1")
			}
			return real(answer, list...)
		}
		_, err := l.Read()
		if n < at {
			return
		}
		if err == nil { // it was still there when it was asked for
			_, err = l.Read()
		}
		if !errors.Is(err, ErrGone) {
			t.Errorf("unplugged before request %d: %v", at, err)
		}
		batch(t, "link add eth1 address 02:00:00:00:00:11 type veth peer name gw1\n")
	}
}

// TestNoAltNames: a kernel before 5.5 knows the request not at all, and the interface is set up without.
func TestNoAltNames(t *testing.T) {
	host(t)
	l := open(t, "eth1")
	real := l.rt.execute
	l.rt.execute = func(answer uint16, list ...*nl.NetlinkRequest) ([][]byte, []error) {
		if list[0].Type == unix.RTM_NEWLINKPROP {
			return nil, every(list, unix.EOPNOTSUPP)
		}
		return real(answer, list...)
	}
	if done := reconcile(t, l, full()); strings.Contains(done.String(), "altname") || !strings.Contains(done.String(), "+ rule") {
		t.Errorf("done:\n%s", done)
	}
}
