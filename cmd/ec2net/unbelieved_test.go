package main

import (
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
)

// A value that is not believed is named by plan, with the reason, after one reading. What could not be asked is
// named once the time is over.
func TestPlanOfWhatIsNotBelieved(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault lab.Fault
		says  []string
		once  bool
	}{
		"outside": {lab.Fault{Value: value("192.0.2.9")}, []string{`"192.0.2.9" is outside of the interface's subnets`}, true},
		"text":    {lab.Fault{Value: value("soon")}, []string{`"soon" is not an address of this family`}, true},
		"page":    {lab.Fault{Body: lab.HTML}, []string{"local-ipv4s", "a page, not a value"}, true},
		"empty":   {lab.Fault{Body: lab.Empty}, []string{"no IPv4 address, which is not believed"}, true},
		// The time is over in the middle of the fourth reading.
		"503, and the rest late":               {lab.Fault{Status: 503}, []string{"metadata keys that could not be read", "local-ipv4s", "503"}, false},
		"503, and a second reading that fails": {lab.Fault{Status: 503}, []string{"metadata keys that could not be read", "local-ipv4s", "503"}, false},
		"503":                                  {lab.Fault{Status: 503}, []string{"metadata keys that could not be read", "local-ipv4s", "503"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			tt.fault.Interface, tt.fault.Path = "eth1", "local-ipv4s"
			spoil(t, c, tt.fault)
			if strings.Contains(name, "late") {
				_, err := c.IMDS().Inject(lab.Fault{Path: "meta-data/network/interfaces/macs/" + eth1MAC + "/", Delay: 1800 * time.Millisecond})
				must(t, err)
			}
			if strings.Contains(name, "second") {
				spoil(t, c, lab.Fault{Path: "meta-data/network/interfaces/macs/" + eth1MAC + "/", Status: 500, Skip: 1, Times: 1})
			}
			before, begun := world(t, c), time.Now()
			status := exitDifferences // what the rest says is there to do
			if !tt.once {
				status = exitUnavailable
			}
			out := ec2net(t, c, status, "plan", "eth1")
			says(t, out, tt.says...)
			if n := asked(c, "/local-ipv4s", begun); (n == 1) != tt.once {
				t.Errorf("asked %d times: %s", n, out)
			}
			if strings.Contains(out, "context deadline") {
				t.Error(out)
			}
			unchanged(t, c, before, "plan")
		})
	}
}

// asked counts the requests for a key since begun.
func asked(c *lab.Cloud, path string, begun time.Time) (n int) {
	for _, r := range c.IMDS().Requests(begun) {
		if strings.HasSuffix(r.Path, path) {
			n++
		}
	}
	return n
}

// When nothing is to be done but for the value that is not believed, plan does not call that well.
func TestPlanOfNothingElse(t *testing.T) {
	t.Parallel()
	c := full(t)
	ec2net(t, c, exitOK, "up", "eth1")
	spoil(t, c, lab.Fault{Interface: "eth1", Path: "ipv4-prefix", Value: value("10.0.2.999/28")})
	says(t, ec2net(t, c, exitUnavailable, "plan", "eth1"), `"10.0.2.999/28" is not an address block`)
}

// An interface for EFA alone lists its IPv4 subnet and no key for addresses: it is done once that has lasted. No DHCP
// server answers it.
func TestInterfaceWithoutAddresses(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	spoil(t, c, lab.Fault{Interface: "eth1", Path: "local-ipv4s", Absent: true})
	spoilDHCP(t, c, lab.DHCPFault{Interface: "eth1", Silent: true})
	says(t, ec2net(t, c, exitDifferences, "plan", "eth1"), "eth1 up")
	says(t, ec2net(t, c, exitOK, "up", "eth1"), "gives this interface no address")
	if out := ec2net(t, c, exitOK, "plan", "eth1"); out != "" {
		t.Errorf("the second plan:\n%s", out)
	}
	k := keep(t, c, "eth1") // by the record, at once
	k.stop(t)
}
