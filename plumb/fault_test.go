package plumb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"ec2net/metadata"
)

// fault is what happens to one request of a run.
type fault struct {
	errno unix.Errno
	lost  bool // the kernel does what it is asked, and its answer is lost
	stays bool // the same request fails whenever it is made again
	kills bool // the process ends at the request
	half  bool // of a dump, half of the answer comes, and then the error; of several requests at once, the last is refused
}

func (f fault) String() string {
	var words []string
	for word, is := range map[string]bool{"lost": f.lost, "stays": f.stays, "kills": f.kills, "half": f.half} {
		if is {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return strings.Join(append(words, unix.ErrnoName(f.errno)), " ")
}

// writeFaults are what the kernel can answer to change number n: refusals, of which the rarer ones take
// turns; the loss of its answer, by an overrun of the socket's buffer or the time-out; and the death of
// the process, before the kernel hears the request and after.
func writeFaults(n int) (out []fault) {
	rare := []unix.Errno{unix.EINVAL, unix.ENOMEM, unix.ENOSPC, unix.EADDRNOTAVAIL, unix.ENETDOWN, unix.ENETUNREACH, unix.EAGAIN}
	for _, e := range []unix.Errno{unix.EPERM, unix.EEXIST, unix.ENOENT, unix.ESRCH, unix.ENODEV, unix.EBUSY, unix.EINTR, unix.ENOBUFS, rare[n%len(rare)]} {
		out = append(out, fault{errno: e})
	}
	for _, e := range []unix.Errno{unix.EPERM, unix.EEXIST, unix.ENOENT} {
		out = append(out, fault{errno: e, stays: true})
	}
	return append(out, fault{errno: unix.ENOMEM, half: true}, fault{errno: unix.ENOMEM, half: true, stays: true},
		fault{errno: unix.ENOBUFS, lost: true}, fault{kills: true}, fault{kills: true, lost: true})
}

func dumpFaults() []fault {
	return []fault{
		{errno: unix.EINTR, half: true}, {errno: unix.EINTR, half: true, stays: true}, {errno: unix.ENOBUFS}, {errno: unix.ENOBUFS, stays: true},
		{errno: unix.EPERM}, {errno: unix.ENODEV}, {errno: unix.ENOMEM, stays: true}, {errno: unix.EAGAIN, lost: true}, {kills: true},
	}
}

var errKilled = errors.New("killed")

// spoiler stands between a link and the kernel.
type spoiler struct {
	fault
	at, n  int
	target []byte // of the fault that stays
	dead   bool
	dumps  []bool // what kind each request was
	real   func(uint16, ...*nl.NetlinkRequest) ([][]byte, []error)
}

// spoil makes request number at of a link fail; 0: none.
func spoil(s *socket, at int, f fault) *spoiler {
	p := &spoiler{fault: f, at: at, real: s.execute}
	s.execute = p.execute
	return p
}

func (p *spoiler) execute(answer uint16, list ...*nl.NetlinkRequest) ([][]byte, []error) {
	p.n++
	p.dumps = append(p.dumps, list[0].Flags&unix.NLM_F_DUMP == unix.NLM_F_DUMP)
	last := list[len(list)-1]
	request := append([]byte{byte(last.Type)}, last.Serialize()[unix.NLMSG_HDRLEN:]...)
	switch {
	case p.dead:
		return nil, every(list, errKilled)
	case p.n == p.at:
		p.target, p.dead = request, p.kills
	case !p.stays || !bytes.Equal(request, p.target):
		return p.real(answer, list...)
	}
	return p.strike(answer, list)
}

func (p *spoiler) strike(answer uint16, list []*nl.NetlinkRequest) (msgs [][]byte, errs []error) {
	err := fmt.Errorf("%w: said the test", p.errno)
	switch {
	case p.half && len(list) > 1:
		_, errs = p.real(answer, list[:len(list)-1]...)
		return nil, append(errs, err)
	case p.half && p.dumps[p.n-1]:
		msgs, _ = p.real(answer, list...)
		return msgs[:len(msgs)/2], every(list, nl.ErrDumpInterrupted)
	case p.lost:
		_, _ = p.real(answer, list...)
	}
	if p.kills {
		err = errKilled
	}
	return nil, every(list, err)
}

// every is the same verdict on each request.
func every(list []*nl.NetlinkRequest, err error) []error {
	return slices.Repeat([]error{err}, len(list))
}

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
		"rule add from 10.0.7.0/24 lookup main suppress_prefixlength 0 suppress_ifgroup 236 pref 10007 protocol 236"
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
		return func(l *Link) (Plan, error) { return l.Reconcile(context.Background(), wanting(c)) }
	}
	with := func(c metadata.Interface) func(*testing.T, *Link) {
		return func(t *testing.T, l *Link) { reconcile(t, l, c) }
	}
	leave := func(up bool) func(*Link) (Plan, error) {
		return func(l *Link) (Plan, error) {
			return l.Leave(context.Background(), &Before{Link: LinkState{Up: up, MTU: 1500}})
		}
	}
	none := func(*testing.T, *Link) {}
	put := func(t *testing.T, _ *Link) { batch(t, relics+"\n") }
	return []undertaking{
		{name: "set up", others: neighboursOfEth1, start: none, do: set(full())},
		{name: "change", others: neighboursOfEth1, start: with(full()), do: set(moved())},
		{name: "leave", others: neighboursOfEth1, start: with(full()), do: leave(true)},
		{name: "leave a bare card", start: with(full()), do: leave(false)},
		{name: "leave others' routes", others: routesAlone, start: with(full()), do: leave(true)},
		{name: "leave a card that is gone", start: put, do: func(l *Link) (Plan, error) {
			l.Name, l.Numbers = "eth7", []int{7}
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
	l.Peers, l.Numbers = []metadata.MAC{mac("02:00:00:00:00:10")}, []int{1, 2}
	s.Cleanup(l.Close)
	return l
}

// restart makes the world what it was before the undertaking.
func (s *sweep) restart() {
	l := s.process()
	if _, err := l.Leave(s.Context(), &Before{Link: LinkState{Up: s.others != "", MTU: 1500}}); err != nil {
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

// whole is the world, with a setting that ec2net changes for a moment, at the cost of fewer processes.
func whole(t testing.TB) (out []string) {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/net/ipv4/conf/eth1/promote_secondaries")
	if err != nil {
		t.Fatal(err)
	}
	all := "promote_secondaries " + string(b)
	for family, commands := range map[string]string{"-4": "addr\nroute show table all\nrule\nlink\n", "-6": "addr\nroute show table all\nrule\n"} {
		c := exec.Command("ip", family, "-o", "-d", "-batch", "-")
		c.Stdin = strings.NewReader(commands)
		text, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("ip -batch: %v\n%s", err, text)
		}
		all += string(text)
	}
	for line := range strings.Lines(all) {
		line = volatile.ReplaceAllString(strings.ReplaceAll(line, `\`, " "), "")
		if !elsewhere.MatchString(line) {
			words := strings.Fields(line)
			if strings.Contains(line, "altname") { // the order in which they came
				slices.Sort(words)
			}
			out = append(out, strings.Join(words, " "))
		}
	}
	slices.Sort(out)
	return out
}
