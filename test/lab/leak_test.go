package lab

import (
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ec2net/test/testkit"
)

// held counts what a process can hold on to a namespace with: descriptors and threads, by namespace, and
// the goroutines.
type held struct {
	fds, goroutines, foreign int
}

func holding(t testing.TB) held {
	t.Helper()
	var h held
	h.fds, h.goroutines = testkit.Descriptors(t), runtime.NumGoroutine()
	here, err := os.Readlink("/proc/thread-self/ns/net")
	must(t, err)
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	must(t, err)
	for _, task := range tasks {
		if ns, err := os.Readlink(task); err == nil && ns != here {
			h.foreign++
		}
	}
	return h
}

// Fifty clouds, used and closed, leave nothing: no descriptor, no goroutine, no thread in a namespace, no mount.
// Without those no namespace can live on.
func TestNoLeak(t *testing.T) {
	use := func() {
		c, err := New(Config{})
		must(t, err)
		echo, err := c.Instance().Echo(netip.MustParseAddrPort("10.0.0.29:22"))
		must(t, err)
		_, err = c.Client().Stream(within(t), netip.AddrPortFrom(EIP1, echo.Addr.Port()))
		must(t, err)
		_, err = c.Capture("eth0")
		must(t, err)
		_, err = c.Squat("eth1", netip.MustParseAddr("10.0.2.9"))
		must(t, err)
		_, err = c.AddPeer("db", netip.MustParseAddr("10.0.2.80"))
		must(t, err)
		alive(t, c.Client(), EIP1)
		a := ask(t, c.Instance()).session()
		a.get(200, "mac")
		must(t, c.Detach("eth1"))
		must(t, c.Close())
		a.http.CloseIdleConnections()
	}
	noLeak(t, 50, use)
	mounts, err := os.ReadFile("/proc/self/mounts")
	must(t, err)
	if strings.Contains(string(mounts), "overlay /etc") {
		t.Error("a mount of a host is left")
	}
}

// Nor does a restart of the instance, or a VF.
func TestNoLeakAzure(t *testing.T) {
	noLeak(t, 4, func() {
		c, err := New(Seed001())
		must(t, err)
		must(t, c.AddRoute(Route{"subnet3", world4, addr132}))
		for range 2 {
			_, err = c.AttachVF("eth2")
			must(t, err)
			must(t, c.EnslaveVF("eth2"))
			_, err = c.Instance().Echo(netip.AddrPortFrom(addr68, 0))
			must(t, err)
			must(t, c.Reboot())
		}
		_, err = c.Probe(within(t), netip.AddrPortFrom(addr68, 1))
		if err == nil {
			t.Error("somebody listens")
		}
		must(t, c.Close())
	})
}

// noLeak does something many times and wants what the process holds to be as after the first time.
func noLeak(t *testing.T, rounds int, use func()) {
	t.Helper()
	use() // what the runtime keeps from the first time is no leak
	runtime.GC()
	before := holding(t)
	start := time.Now()
	for range rounds {
		use()
	}
	t.Logf("%v for each cloud with its use", time.Since(start)/time.Duration(rounds))
	// Threads end a moment after their goroutines.
	var after held
	for end := time.Now().Add(hang); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		runtime.GC()
		if after = holding(t); after.foreign == 0 && after.goroutines <= before.goroutines && after.fds <= before.fds {
			break
		}
	}
	if after.foreign != 0 || after.goroutines > before.goroutines || after.fds > before.fds {
		buf := make([]byte, 1<<20)
		t.Errorf("before %+v, after %+v\n%s", before, after, buf[:runtime.Stack(buf, true)])
	}
}

// A cloud that cannot be built leaves nothing either.
func TestNoLeakOnError(t *testing.T) {
	fail := func() {
		if _, err := New(Config{Interfaces: []Interface{Eth0(), Eth0()}}); err == nil {
			t.Fatal("two interfaces of one name")
		}
	}
	fail()
	before := holding(t)
	for range 10 {
		fail()
	}
	var after held
	for end := time.Now().Add(hang); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if after = holding(t); after.foreign == 0 && after.fds <= before.fds && after.goroutines <= before.goroutines {
			return
		}
	}
	t.Errorf("before %+v, after %+v", before, after)
}

// Clouds do not see each other.
func TestManyAtOnce(t *testing.T) {
	var clouds []*Cloud
	for range 8 {
		clouds = append(clouds, newCloud(t, Config{}))
	}
	for _, c := range clouds {
		alive(t, c.Client(), EIP1)
		if n := c.IMDS().Stats().Requests; n != 0 {
			t.Errorf("%d requests", n)
		}
	}
}

// How long a cloud takes. The aim is below 50 ms.
func BenchmarkCloud(b *testing.B) {
	for b.Loop() {
		c, err := New(Config{})
		must(b, err)
		must(b, c.Close())
	}
}

// Clouds are made and closed at the same time; the race detector watches what they share.
func TestManyAtTheSameTime(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 3 {
				c, err := New(Config{})
				if err != nil {
					t.Error(err)
					return
				}
				alive(t, c.Client(), EIP1)
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
}
