package plumb

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ec2net/metadata"
)

// undertaking is something that ec2net does, from one state of the world to another.
type undertaking struct {
	name   string
	others string // what is there of others, as commands of ip(8)
	start  func(t *testing.T, l *Link)
	do     func(l *Link) (Plan, error)
}

const (
	neighboursOfEth1 = "link set eth1 up\naddr add 10.0.2.99/24 dev eth1\naddr add 10.0.2.98/24 dev eth1\n" +
		"rule add from 10.0.2.37 lookup 10001 pref 20001 protocol 99\nroute add default via 10.0.2.1 dev eth1 table 100012 proto 99"
	routesAlone = "link set eth1 up\nroute add 10.9.0.0/16 dev eth1\nroute add 10.8.0.0/16 via 10.9.0.1 dev eth1"
	relics      = "rule add from 10.0.7.37 lookup 10007 pref 20007 protocol 236\nrule add from 10.0.7.38 lookup 10007 pref 20007 protocol 236\n" +
		"rule add from 10.0.7.0/24 lookup main suppress_prefixlength 7 suppress_ifgroup 236 pref 10007 protocol 236"
)

// moved is full with another primary, and without some of what full has.
func moved() metadata.Interface {
	c := full()
	c.Addrs4, c.Prefixes4 = addrs("10.0.2.4", "10.0.2.37", "10.0.2.6"), metadata.None[[]netip.Prefix]()
	c.DeviceNumber = 2
	return c
}

func undertakings() []undertaking {
	set := func(c metadata.Interface) func(*Link) (Plan, error) {
		return func(l *Link) (Plan, error) { return l.Reconcile(context.Background(), wanting(c)).both() }
	}
	with := func(c metadata.Interface) func(*testing.T, *Link) {
		return func(t *testing.T, l *Link) { reconcile(t, l, c) }
	}
	leave := func(up bool) func(*Link) (Plan, error) {
		return func(l *Link) (Plan, error) {
			return l.Leave(context.Background(), &Baseline{Link: LinkState{Up: up, MTU: 1500}})
		}
	}
	none := func(*testing.T, *Link) {}
	put := func(t *testing.T, _ *Link) { batch(t, relics+"\n") }
	return []undertaking{
		{name: "set up", others: neighboursOfEth1, start: none, do: set(full())},
		{name: "change", others: neighboursOfEth1, start: with(full()), do: set(moved())},
		{name: "leave", others: neighboursOfEth1, start: with(full()), do: leave(true)},
		{name: "leave a bare interface", start: with(full()), do: leave(false)},
		{name: "leave others' routes", others: routesAlone, start: with(full()), do: leave(true)},
		{name: "leave an interface that is gone", start: put, do: func(l *Link) (Plan, error) {
			l.Name, l.scope.Numbers = "eth7", []int{7}
			return l.Leave(context.Background(), nil)
		}},
		{name: "orphans", others: neighboursOfEth1, start: put, do: func(l *Link) (Plan, error) { return l.rt.orphans(nil) }},
	}
}

// TestEveryFault makes each request of each undertaking fail in each way that the kernel knows. It is
// done all the same, or the error says what failed; and the next process, to which nothing happens,
// always gets there, with everything of others as it was.
func TestEveryFault(t *testing.T) {
	for _, u := range undertakings() {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			s := newSweep(t, u)
			for at, dump := range s.requests {
				faults := writeFaults(at)
				if dump {
					faults = dumpFaults()
				}
				for _, f := range faults {
					s.try(at+1, f)
				}
			}
			t.Logf("%d requests, %d faults, %d of them reported", len(s.requests), s.tried, s.reported)
		})
	}
}

// sweep is an undertaking that is tried again and again.
type sweep struct {
	*testing.T
	undertaking
	requests        []bool // of the undisturbed run; true: a dump
	end             []string
	tried, reported int
}

func newSweep(t *testing.T, u undertaking) *sweep {
	host(t)
	sysctl(t, "ipv4/conf/eth1/promote_secondaries", "0")
	batch(t, u.others+"\n")
	s := &sweep{T: t, undertaking: u}
	s.start(t, s.process())
	l := s.process()
	p := spoil(l.rt, 0, fault{})
	if _, err := s.do(l); err != nil {
		t.Fatalf("undisturbed: %v", err)
	}
	s.requests, s.end = p.dumps, whole(t)
	s.restart()
	return s
}

// process is what starts anew: with what the state file holds, and nothing else.
func (s *sweep) process() *Link {
	l, err := Open("eth1")
	if err != nil {
		s.Fatal(err)
	}
	l.scope.Peers, l.scope.Numbers = []metadata.MAC{mac("02:00:00:00:00:10")}, []int{1, 2}
	s.Cleanup(l.Close)
	return l
}

// restart makes the world what it was before the undertaking.
func (s *sweep) restart() {
	l := s.process()
	if _, err := l.Leave(s.Context(), &Baseline{Link: LinkState{Up: s.others != "", MTU: 1500}}); err != nil {
		s.Fatalf("leave: %v", err)
	}
	s.start(s.T, l)
	l.Close()
}

func (s *sweep) try(at int, f fault) {
	s.Helper()
	s.tried++
	name := fmt.Sprintf("request %d: %s", at, f)
	l := s.process()
	spoil(l.rt, at, f)
	_, err := s.do(l)
	l.Close()
	if errors.Is(err, errHarm) { // what is told so is for a person to mend
		sysctl(s.T, "ipv4/conf/eth1/promote_secondaries", "0")
		_, _ = run("ip", "route add 10.8.0.0/16 via 10.9.0.1 dev eth1")
	}
	l = s.process()
	defer l.Close()
	again, err2 := s.do(l)
	if err2 != nil {
		s.Fatalf("%s: the next process: %v", name, err2)
	}
	s.judge(name, f, err, again) // where it did nothing, the world is as the first one left it
	s.want(fmt.Sprintf("%s, and it said %v: after the next process", name, err), s.end)
	s.restart()
}

func (s *sweep) want(what string, world []string) {
	s.Helper()
	if d := cmp.Diff(world, whole(s.T)); d != "" {
		s.Fatalf("%s: (-want +have)\n%s", what, d)
	}
}

// judge: success that left something to do is a lie, and so is an error without its cause.
func (s *sweep) judge(name string, f fault, err error, again Plan) {
	s.Helper()
	switch {
	case err == nil && len(again) > 0:
		s.Errorf("%s: it said nothing, and left this to do:\n%s", name, again)
	case err != nil:
		s.reported++
		if f.kills || errors.Is(err, f.errno) || errors.Is(err, ErrNotConverged) {
			return
		}
		s.Errorf("%s: the error does not tell the cause: %v", name, err)
	}
}

// whole is the world and what the kernel is made to change for a moment.
func whole(t testing.TB) []string {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/net/ipv4/conf/eth1/promote_secondaries")
	if err != nil {
		t.Fatal(err)
	}
	return append(world(t), "promote_secondaries "+string(b))
}
