package plumb

import (
	"maps"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func flow(local, remote string) Flow {
	f := Flow{Remote: netip.MustParseAddrPort(remote)}
	if local != "" {
		f.Local = netip.MustParseAddrPort(local)
	}
	return f
}

// What counts as lost when interface 3 was changed, beside the primary interface 2.
func TestLost(t *testing.T) {
	const eth0, eth1, eth2 = 2, 3, 4
	gw := netip.MustParseAddr("10.0.0.1")
	by := func(index int) Way { return Way{Index: index, Via: gw} }
	own, ours, gone := netip.MustParseAddr("10.0.0.29"), netip.MustParseAddr("10.0.2.37"), netip.MustParseAddr("10.0.0.99")
	ssh, second, moved := flow("10.0.0.29:22", "192.0.2.1:999"), flow("10.0.2.37:22", "192.0.2.1:999"), flow("10.0.0.99:22", "192.0.2.1:999")
	server := flow("", "169.254.169.254:80")
	for _, tt := range []struct {
		name    string
		flow    Flow
		was, is Way
		primary bool // interface 3 is the primary
		lost    bool
	}{
		{"nothing changes", ssh, by(eth0), by(eth0), false, false},
		{"by the changed interface", ssh, by(eth0), by(eth1), false, true},
		{"by a third interface", ssh, by(eth0), by(eth2), false, true},
		{"another next hop", ssh, by(eth0), Way{Index: eth0}, false, true},
		{"nowhere", ssh, by(eth0), Way{}, false, true},
		{"to this host", ssh, by(eth0), Way{Index: 1, Local: true}, false, true},
		{"dropped on the way in", ssh, by(eth0), Way{Index: eth0, Via: gw, Dropped: true}, false, true},
		{"it was nowhere before", ssh, Way{}, by(eth1), false, false},
		{"it was dropped before", ssh, Way{Index: eth0, Dropped: true}, by(eth1), false, false},
		{"to the interface that has the address", ssh, by(eth1), by(eth0), false, false},
		{"there, but dropped", ssh, by(eth1), Way{Index: eth0, Dropped: true}, false, true},
		{"the changed interface's own", second, by(eth0), by(eth1), false, false},
		{"the changed interface's own, another next hop", second, by(eth1), Way{Index: eth1}, false, false},
		{"the primary's own, another next hop", second, by(eth1), Way{Index: eth1}, true, true},
		{"the changed interface's own, the other end's address taken", second, by(eth1), Way{Index: 1, Local: true}, false, true},
		{"the changed interface's own, an address of its subnet taken over", second, Way{Index: eth1}, Way{Index: 1, Local: true}, false, false},
		{"its address has gone", moved, by(eth0), by(eth1), false, false},
		{"a server by another way", server, by(eth0), by(eth1), false, true},
		{"a server as before", server, by(eth0), by(eth0), false, false},
	} {
		before := Reach{ways: map[Flow]Way{tt.flow: tt.was}, holders: map[netip.Addr][]int{own: {eth0}, ours: {eth1}, gone: {eth0}}}
		now := Reach{ways: map[Flow]Way{tt.flow: tt.is}, holders: map[netip.Addr][]int{own: {eth0}, ours: {eth1}}}
		if lost := before.Lost(now, eth1, tt.primary); (len(lost) == 1) != tt.lost {
			t.Errorf("%s: %+v", tt.name, lost)
		}
		strict := len(before.Lost(now, eth1, true)) == 1
		if lost := before.LostByGuess(now, eth1); (len(lost) == 1) != strict {
			t.Errorf("%s, and it may be the primary: %+v", tt.name, lost)
		}
	}
	for _, tt := range []struct {
		name    string
		was, is Way
		lost    bool
	}{
		{"as it was", by(eth0), by(eth0), false},
		{"the changed interface took it", by(eth0), by(eth1), true},
		{"it is gone", by(eth0), Way{}, true},
		{"somebody gave it to another interface", by(eth0), by(eth2), false},
		{"it was the changed interface's", by(eth1), Way{}, false},
		{"there was none", Way{}, by(eth1), false},
	} {
		before, now := Reach{defaults: [2]Way{{}, tt.was}}, Reach{defaults: [2]Way{{}, tt.is}}
		if lost := before.Lost(now, eth1, false); (len(lost) == 1) != tt.lost {
			t.Errorf("default route, %s: %+v", tt.name, lost)
		}
		if lost := before.LostByGuess(now, eth1); (len(lost) == 1) != tt.lost {
			t.Errorf("default route, %s, and it may be the primary interface: %+v", tt.name, lost)
		}
		if lost := before.Lost(now, eth1, true); (len(lost) == 1) != (tt.lost && tt.is.Index != eth1) {
			t.Errorf("default route, %s, and it is the primary interface: %+v", tt.name, lost)
		}
	}
}

// The kernel's own answers, and a connection that is seen while it is there.
func TestReach(t *testing.T) {
	secondHost(t)
	far := connect(t)
	l := open(t, "eth1")
	before, err := l.Reach(netip.MustParseAddrPort("169.254.169.254:80"))
	if err != nil {
		t.Fatal(err)
	}
	ssh := slices.IndexFunc(flowsOf(before), func(f Flow) bool { return f.Local.Port() == 22 })
	if ssh < 0 || before.defaults[0].Via != netip.MustParseAddr("10.0.0.1") {
		t.Fatalf("%+v", before)
	}
	for _, tt := range []struct{ do, undo, lost string }{
		{"route add 192.0.2.0/24 dev eth1", "route del 192.0.2.0/24 dev eth1", "10.0.0.29:22 with 192.0.2.1"},
		{"rule add from 10.0.0.29 sport 22 ipproto tcp lookup 99 pref 9", "rule del pref 9", ""},
		{"rule add from 10.0.0.29 sport 22 ipproto tcp prohibit pref 9", "rule del pref 9", "10.0.0.29:22 with 192.0.2.1"},
		{"rule add from 10.0.0.29 uidrange 0-0 unreachable pref 9", "rule del pref 9", "10.0.0.29:22 with 192.0.2.1"},
		{"rule add from 10.0.0.29 sport 23 ipproto tcp fwmark 7 prohibit pref 9", "rule del pref 9", "10.0.0.29:23 with 192.0.2.1"},
		{"route add unreachable 169.254.169.254", "route del unreachable 169.254.169.254", "169.254.169.254:80"},
		{"route add default via 10.0.9.1 dev eth1 onlink metric 1", "route del default metric 1", ""},
		{"route add default via 10.0.0.3 dev eth0 metric 0 table 99", "route flush table 99", ""},
	} {
		ip(t, tt.do)
		now, err := l.Again(before)
		if err != nil {
			t.Fatal(err)
		}
		lost := before.Lost(now, read(t, l).Index, false)
		if got := len(lost) > 0; got != (tt.lost != "") || (got && !strings.Contains(texts(lost), tt.lost)) {
			t.Errorf("%s: lost are %s, want %q", tt.do, texts(lost), tt.lost)
		}
		ip(t, tt.undo)
	}
	counts := func(want map[int]int) {
		t.Helper()
		if got, err := l.Connections(); err != nil || !maps.Equal(got, want) {
			t.Errorf("connections by interface: %v (%v), want %v", got, err, want)
		}
	}
	eth0 := index(t, "eth0")
	counts(map[int]int{eth0: 2})
	ip(t, "addr add 10.0.0.29/32 dev eth1")
	counts(map[int]int{eth0: 2, l.Index: 2})
	ip(t, "addr add 192.0.2.9/24 dev eth1") // now they are with a host in one of our networks
	counts(map[int]int{})
	ip(t, "addr flush dev eth1") // the clients are to see the end
	far.Close()
	if flows, err := Flows(); err != nil || slices.ContainsFunc(flows, func(f Flow) bool { return f.Local.Port() == 22 }) {
		t.Errorf("after the end: %v, %v", flows, err)
	}
}

func flowsOf(r Reach) (out []Flow) {
	for f := range r.ways {
		out = append(out, f)
	}
	return out
}

func texts(lost []Loss) string {
	var out []string
	for _, l := range lost {
		out = append(out, l.Flow.String())
	}
	return strings.Join(out, ", ")
}

func FuzzParseFlow(f *testing.F) {
	f.Add(make([]byte, diagMessage))
	f.Add(append(make([]byte, diagMessage), nl.NewRtAttr(diagMark, nl.Uint32Attr(7)).Serialize()...))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseFlow(b)
		if err == nil && len(b) < diagMessage {
			t.Errorf("%d bytes are %v", len(b), got)
		}
	})
}

// Restored takes back what is ours, and nothing that somebody else gave the interface meanwhile.
func TestRestored(t *testing.T) {
	host(t)
	l := open(t, "eth1")
	was := world(t)
	snap := read(t, l)
	reconcile(t, l, eth1())
	ip(t, "link property add dev eth1 altname enx2")
	if err := l.Reconcile(t.Context(), func(s Snapshot) (State, error) { return Restored(s, snap.State), nil }).Err(); err != nil {
		t.Fatal(err)
	}
	if out := ip(t, "link show dev eth1"); !strings.Contains(out, "altname enx2") || strings.Contains(out, "device-number") {
		t.Errorf("names: %s", out)
	}
	ip(t, "link property del dev eth1 altname enx2")
	same(t, "a change and its undoing", was)
}

// connect opens connections from behind eth0's router to two ports, of which the second's socket has
// the mark 7. It returns the first.
func connect(t testing.TB) net.Conn {
	t.Helper()
	router := newNeighbour(t)
	router.takes("gw0")
	router.ip("addr add 10.0.0.1/24 dev gw0", "addr add 192.0.2.1/32 dev lo", "link set lo up", "route add 10.0.0.29 dev gw0 src 192.0.2.1")
	var conns []net.Conn
	for port, mark := range map[string]int{"22": 0, "23": 7} {
		marked := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark) })
		}}
		server, err := marked.Listen(t.Context(), "tcp4", "10.0.0.29:"+port)
		if err != nil {
			t.Fatal(err)
		}
		client := exec.Command("nsenter", "-t", strconv.Itoa(router.pid), "-n", "bash", "-c", "exec 3<>/dev/tcp/10.0.0.29/"+port+"; read -r x <&3")
		if err := client.Start(); err != nil {
			t.Fatal(err)
		}
		conn, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		server.Close()
		t.Cleanup(func() { conn.Close(); _ = client.Wait() })
		if conns = append(conns, conn); port == "22" {
			conns[0], conns[len(conns)-1] = conn, conns[0]
		}
	}
	return conns[0]
}

// BenchmarkReach is what the proof of a change costs: a look before and one after, with two connections.
func BenchmarkReach(b *testing.B) {
	host(b)
	connect(b)
	l := open(b, "eth1")
	reconcile(b, l, eth1())
	server := netip.MustParseAddrPort("169.254.169.254:80")
	for b.Loop() {
		before, err := l.Reach(server)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := l.Again(before); err != nil {
			b.Fatal(err)
		}
	}
}
