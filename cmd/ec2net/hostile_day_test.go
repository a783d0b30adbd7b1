package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ec2net/test/lab"
)

// dayInterfaces are the interfaces besides the primary.
const dayInterfaces = 7

// day is an accelerated one: leases of 10 s, a reading every second, and always something wrong somewhere.
type day struct {
	*testing.T
	c       *lab.Cloud
	rnd     *rand.Rand
	keepers []*kept
	changes atomic.Int64 // faults that began or ended, and addresses that came or went
	pings   atomic.Int64
	extra   map[string]bool // interfaces with an address more
}

func eip(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, byte(200 + i)}) }

func newDay(t *testing.T) *day {
	ifaces := []lab.Interface{lab.Eth0()}
	for i := 1; i <= dayInterfaces; i++ {
		a := netip.AddrFrom4([4]byte{10, 0, 2, byte(30 + i)})
		ifaces = append(ifaces, lab.Interface{Name: fmt.Sprintf("eth%d", i), Addrs4: []netip.Addr{a}, EIPs: map[netip.Addr]netip.Addr{a: eip(i)}})
	}
	d := &day{T: t, c: hostile(t, lab.Config{Interfaces: ifaces}), rnd: seed(t), extra: map[string]bool{}}
	spoilDHCP(t, d.c, lab.DHCPFault{Lease: 10 * time.Second})
	conf := write(t, soon+"refresh = \"1s\"\n")
	for i := range dayInterfaces + 1 {
		k := startWith(t, d.c, fmt.Sprintf("eth%d", i), []string{"--config", conf}, "GOTRACEBACK=all")
		k.notify.await(t, "READY=1")
		d.keepers = append(d.keepers, k)
	}
	return d
}

// Every address answers all day, the processes do not grow, and they say less than happens.
func TestDay(t *testing.T) {
	t.Parallel()
	length := 24 * time.Second // EC2NET_DAY in make soak is longer
	if s := os.Getenv("EC2NET_DAY"); s != "" {
		var err error
		length, err = time.ParseDuration(s)
		must(t, err)
	}
	d := newDay(t)
	lines, stop := d.lines(), make(chan struct{})
	var watch sync.WaitGroup
	for i := 1; i <= dayInterfaces; i++ {
		watch.Go(func() { d.watch(eip(i), stop) })
	}
	begun := time.Now()
	d.live(begun.Add(length / 3))
	early := d.sizes()
	d.live(begun.Add(length))
	d.c.IMDS().Clear()
	close(stop)
	watch.Wait()
	late := d.sizes()
	for i := range early {
		// Idle connections of a fault's time close after 15 s; what has leaked does not.
		for end := time.Now().Add(30 * time.Second); late[i].above(early[i]) && time.Now().Before(end); late[i] = d.sizes()[i] {
			time.Sleep(100 * time.Millisecond)
		}
		if late[i].above(early[i]) {
			t.Errorf("eth%d's process grew from %+v to %+v", i, early[i], late[i])
		}
	}
	said := d.lines() - lines
	for i, n := range d.goroutines() {
		if n < 3 || n > 30 { // the runtime has 10, HTTP connections 8; a leak would have one for each of the readings
			t.Errorf("eth%d's process has %d goroutines", i, n)
		}
	}
	if real := d.changes.Load(); int64(said) >= real {
		t.Errorf("%d log lines for %d changes", said, real)
		for _, k := range d.keepers {
			t.Log(k.log)
		}
	} else {
		t.Logf("%d changes, %d log lines, %d echo requests, sizes %+v", real, said, d.pings.Load(), late)
	}
}

// goroutines ends the processes with a picture of themselves.
func (d *day) goroutines() (out []int) {
	for _, k := range d.keepers {
		must(d.T, k.Process.Signal(syscall.SIGQUIT))
		<-k.ended
		out = append(out, strings.Count(k.log.String(), "\ngoroutine "))
	}
	return out
}

func (d *day) lines() (n int) {
	for _, k := range d.keepers {
		n += k.lineCount()
	}
	return n
}

// watch wants an address to answer all the time; of two echo requests in a row one may be lost, since a
// neighbour's entry may just be made.
func (d *day) watch(dst netip.Addr, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(150 * time.Millisecond):
		}
		d.pings.Add(1)
		if _, err := d.c.Client().Ping(d.Context(), dst, lab.Ping{Tries: 2}); err != nil && d.Context().Err() == nil {
			d.Errorf("%s: %v", time.Now().Format(time.TimeOnly), err)
		}
	}
}

// live injects one thing after another until the time is over. Each is about one interface, as most are.
func (d *day) live(until time.Time) {
	for time.Now().Before(until) {
		iface := fmt.Sprintf("eth%d", d.rnd.IntN(dayInterfaces)+1)
		length := time.Duration(200+d.rnd.IntN(2500)) * time.Millisecond
		switch d.rnd.IntN(5) {
		case 0:
			d.move(iface)
		case 1:
			d.changes.Add(2)
			faults := []lab.DHCPFault{{Silent: true}, {NAK: true}, {Delay: time.Second}, {Mangle: lab.Garbage}, {Router: addr("192.0.2.1")}}
			f := faults[d.rnd.IntN(len(faults))]
			f.Interface, f.For = iface, 2*length
			spoilDHCP(d.T, d.c, f)
		default:
			d.changes.Add(2)
			f := anyFault(d.rnd)
			f.Interface, f.For = iface, length
			f.Path = []string{"**", "", "local-ipv4s", "**"}[d.rnd.IntN(4)]
			spoil(d.T, d.c, f)
		}
		time.Sleep(time.Duration(50+d.rnd.IntN(400)) * time.Millisecond)
	}
}

func anyFault(rnd *rand.Rand) lab.Fault {
	faults := []lab.Fault{
		{Status: 500}, {Status: 503, RetryAfter: "1"}, {Status: 429}, {Status: 401}, {Status: 404}, {Absent: true}, {Body: lab.HTML},
		{Body: lab.Binary}, {Body: lab.Empty}, {Body: lab.Short}, {Reset: true}, {Close: true}, {Delay: time.Second}, {Redirect: "http://192.0.2.1/"},
	}
	return faults[rnd.IntN(len(faults))]
}

// move assigns a secondary address to an interface, or takes it back.
func (d *day) move(iface string) {
	d.changes.Add(1)
	a := addr("10.0.2.1" + iface[3:] + "0")
	if d.extra[iface] = !d.extra[iface]; d.extra[iface] {
		must(d.T, d.c.Assign(iface, a))
	} else {
		must(d.T, d.c.Release(iface, a))
	}
}

// size is what a process takes of the system.
type size struct{ fds, threads, rss int } // rss in KiB

// above: it is so much more than before that it can be no accident of the moment.
func (s size) above(before size) bool {
	return s.fds > before.fds+4 || s.threads > before.threads+4 || s.rss > before.rss*5/4+4096
}

// sizes are the least of some samples: what an exchange that is under way has open is no leak.
func (d *day) sizes() []size {
	out := d.sample()
	for range 8 {
		time.Sleep(150 * time.Millisecond)
		for i, s := range d.sample() {
			out[i] = size{min(out[i].fds, s.fds), min(out[i].threads, s.threads), min(out[i].rss, s.rss)}
		}
	}
	return out
}

func (d *day) sample() (out []size) {
	for _, k := range d.keepers {
		dir := fmt.Sprintf("/proc/%d/", k.Process.Pid)
		files, err := os.ReadDir(dir + "fd")
		must(d.T, err)
		text, err := os.ReadFile(dir + "status")
		must(d.T, err)
		s := size{fds: len(files)}
		for line := range strings.Lines(string(text)) {
			_, _ = fmt.Sscanf(line, "Threads: %d", &s.threads) // lines of another kind do not match
			_, _ = fmt.Sscanf(line, "VmRSS: %d", &s.rss)
		}
		out = append(out, s)
	}
	return out
}
