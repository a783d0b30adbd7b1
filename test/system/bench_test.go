//go:build system && bench

package system

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
	"ec2net/test/lab/labtest"
	"ec2net/test/system/debian"
)

// benchRuns is how often each thing is measured, the contestants in turn.
const benchRuns = 5

// contestant is a way to have a second interface work. networkd does DHCP on every interface in each of them.
type contestant struct {
	name  string
	outer bool // the interface's elastic IP is answered, too
	suite string
	bare  bool
	files map[string]string
}

func contestants() []contestant {
	return []contestant{
		{name: "systemd-networkd alone", suite: debian.Bookworm, bare: true, files: networkd()},
		{name: "amazon-ec2-net-utils", outer: true, suite: peer, bare: true, files: amazon()},
		{name: "ec2net", outer: true, suite: debian.Bookworm, files: networkd()},
	}
}

// What a plugged interface and a boot cost with ec2net, beside the same machine with systemd-networkd alone, and beside
// Debian's amazon-ec2-net-utils doing the same work. No time is judged: the table is the result.
func TestBench(t *testing.T) {
	lines := []string{fmt.Sprintf("%-24s %22s %22s %12s %14s", "median of "+strconv.Itoa(benchRuns), "plug → neighbour, ms", "plug → internet, ms", "requests", "boot, ms")}
	boots := map[string][]float64{}
	for range benchRuns {
		for _, c := range contestants() {
			alone(t, "boot", func(t *testing.T) {
				m := start(t, options{suite: c.suite, bare: c.bare, unmanaged: true, files: c.files})
				m.answers(lab.EIP1, 20*time.Second)
				boots[c.name] = append(boots[c.name], m.startup())
			})
		}
	}
	for _, c := range contestants() {
		var near, far, asked []float64
		for range benchRuns {
			alone(t, "plug", func(t *testing.T) {
				n, f, a := c.plug(t)
				near, far, asked = append(near, n), append(far, f), append(asked, a)
			})
		}
		lines = append(lines, fmt.Sprintf("%-24s %22s %22s %12s %14s", c.name, spread(near), spread(far), spread(asked), spread(boots[c.name])))
	}
	text := strings.Join(lines, "\n") + "\n"
	t.Logf("\n%s", text)
	if file := os.Getenv("EC2NET_BENCH_OUT"); file != "" {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// alone runs f and ends its machine: what one of thirty takes of the host's time, or of its inotify instances,
// is not there for the others. A failure ends the test.
func alone(t *testing.T, name string, f func(*testing.T)) {
	if !t.Run(name, f) {
		t.FailNow()
	}
}

// plug boots a machine, plugs an interface, and returns the times until a host of its subnet and a client on the
// internet are answered, and the requests to the metadata in the three seconds from the plug.
func (c contestant) plug(t *testing.T) (near, far, requests float64) {
	t.Helper()
	m := start(t, options{suite: c.suite, bare: c.bare, unmanaged: true, files: with(renamed(second()), c.files)})
	m.answers(lab.EIP1, 20*time.Second)
	neighbour, err := m.cloud.AddPeer("neighbour", netip.MustParseAddr("10.0.2.200"))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second) // what the boot set going comes to rest
	began := time.Now()
	if err := m.cloud.Attach(second()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	done := make(chan float64)
	ping := func(from *lab.Node, to netip.Addr) {
		_, err := from.Ping(ctx, to, lab.Ping{Tries: 100000, Timeout: 5 * time.Millisecond})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		done <- ms(time.Since(began))
	}
	go ping(neighbour, second().Addrs4[0])
	near = <-done
	if c.outer {
		go ping(m.cloud.Client(), labtest.EIP(second()))
		far = <-done
	}
	time.Sleep(time.Until(began.Add(3 * time.Second)))
	return near, far, float64(len(m.cloud.IMDS().Requests(began)))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// startup is how long PID 1 says that user space took to come up, in ms.
func (m *machine) startup() float64 {
	m.t.Helper()
	value := func(property string) float64 {
		out := strings.TrimSpace(m.run("systemctl", "show", "--value", "--property="+property))
		n, err := strconv.ParseFloat(out, 64)
		if err != nil {
			m.t.Fatalf("%s: %v", property, err)
		}
		return n / 1000
	}
	return value("FinishTimestampMonotonic") - value("UserspaceTimestampMonotonic")
}

// spread is the median, the least and the most.
func spread(list []float64) string {
	s := slices.Sorted(slices.Values(list))
	if s[len(s)-1] == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f (%.0f–%.0f)", s[len(s)/2], s[0], s[len(s)-1])
}
