package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"ec2net/agent"
	"ec2net/test/lab"
)

// metadataFaults is the list of the ways in which metadata has failed somebody.
var metadataFaults = []struct {
	name   string
	fault  lab.Fault
	status int    // of an `up` that gives up under it
	says   string // by that `up`
}{
	{"the MAC is not there yet", lab.Fault{Interface: "eth1", Path: "**", Absent: true}, exitUnavailable, "MAC unknown to the cloud"},
	{"the MAC has no keys yet", lab.Fault{Interface: "eth1", Path: "**", Status: 404}, exitUnavailable, "has no keys yet"},
	{"device-number 0", lab.Fault{Interface: "eth1", Path: "device-number", Value: value("0")}, exitUnavailable, "it is 0"},
	{"500", lab.Fault{Status: 500}, exitUnavailable, "status 500"},
	{"503 with Retry-After", lab.Fault{Status: 503, RetryAfter: "1"}, exitUnavailable, "status 503"},
	{"429 with Retry-After", lab.Fault{Status: 429, RetryAfter: "1"}, exitUnavailable, "status 429"},
	{"401", lab.Fault{Method: http.MethodGet, Status: 401}, exitUnavailable, "status 401"},
	{"HTML with 200", lab.Fault{Body: lab.HTML}, exitUnavailable, "token"},
	{"HTML for each key", lab.Fault{Method: http.MethodGet, Body: lab.HTML}, exitUnavailable, "a page, not a value"},
	{"binary", lab.Fault{Method: http.MethodGet, Body: lab.Binary}, exitUnavailable, "not text"},
	{"10 MB", lab.Fault{Method: http.MethodGet, Body: lab.Huge}, exitUnavailable, "longer than 64 KiB"},
	{"endless", lab.Fault{Method: http.MethodGet, Body: lab.Endless}, exitUnavailable, "longer than 64 KiB"},
	{"cut short", lab.Fault{Method: http.MethodGet, Body: lab.Short}, exitUnavailable, "cut short"},
	{"slow drip", lab.Fault{Method: http.MethodGet, Drip: 300 * time.Millisecond}, exitUnavailable, "within 2s"},
	{"reset", lab.Fault{Reset: true}, exitUnavailable, "metadata unavailable"},
	{"closed", lab.Fault{Close: true}, exitUnavailable, "metadata unavailable"},
	{"redirect", lab.Fault{Redirect: "http://10.0.2.37/"}, exitUnavailable, "status 302"},
	{"empty", lab.Fault{Interface: "eth1", Path: "device-number", Body: lab.Empty}, exitUnavailable, "no value yet"},
	{"no addresses", lab.Fault{Interface: "eth1", Path: "local-ipv4s", Body: lab.Empty}, exitPartial, "a valid answer from the metadata ("},
	{"a wrong type", lab.Fault{Interface: "eth1", Path: "local-ipv4s", Value: value(`{"a":[1,2]}`)}, exitPartial, "a valid answer from the metadata ("},
	{"an address outside of the subnet", lab.Fault{Interface: "eth1", Path: "local-ipv4s", Value: value("192.0.2.9")}, exitPartial, "a valid answer from the metadata ("},
}

// givesUp has `up` wait in vain, and longer where the machine is so slow that it has not met with the fault by then.
func givesUp(t *testing.T, c *lab.Cloud, status int, iface, text string) {
	t.Helper()
	for wait := 2500 * time.Millisecond; ; wait *= 2 {
		out, got := on(t, c, "ec2net", "--cloud", string(c.Provider()), "up", iface, "--wait", wait.String())
		if got == status && strings.Contains(out, text) {
			return
		}
		if wait > hang/2 {
			t.Fatalf("up: status %d, want %d and %q:\n%s", got, status, text, out)
		}
	}
}

// Each fault from the start: `up` gives up with the documented status and the kernel as it was, `run`
// waits and says for what, and when the fault is over the interface is set up by itself.
func TestMetadataFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range metadataFaults {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			before := world(t, c)
			heal := spoil(t, c, tt.fault)
			givesUp(t, c, tt.status, "eth1", tt.says)
			if tt.status == exitUnavailable {
				unchanged(t, c, before, "up")
			}
			k := startAs(t, c, quick(), "eth1", nil)
			k.notify.await(t, "STATUS=waiting for ")
			heal()
			k.notify.await(t, "READY=1")
			answers(t, c, lab.EIP2)
			if n := k.lineCount(); n > 6 {
				t.Errorf("%d log lines for one interface set up:\n%s", n, k.log)
			}
			k.stop(t)
		})
	}
}

// What is wrong with a value, and not with the server: the rest holds.
func TestOddValues(t *testing.T) {
	t.Parallel()
	hundred := []string{"10.0.2.37"}
	for i := range 99 {
		hundred = append(hundred, fmt.Sprintf("10.0.2.%d", 100+i))
	}
	for _, tt := range []struct {
		name, key, value string
		addrs            string
		status           int
		says             string
	}{
		{"host bits in the CIDR", "subnet-ipv4-cidr-block", "10.0.2.37/24", "10.0.2.37", exitOK, "ready"},
		{"an address outside of the CIDR among good ones", "local-ipv4s", "10.0.2.37\n192.0.2.9\n10.0.2.40", "10.0.2.37 10.0.2.40", exitPartial, "192.0.2.9"},
		{"tabs", "local-ipv4s", "10.0.2.37\t10.0.2.40\t10.0.2.41", "10.0.2.37 10.0.2.40 10.0.2.41", exitOK, "ready"},
		{"spaces", "local-ipv4s", " 10.0.2.37  10.0.2.40 ", "10.0.2.37 10.0.2.40", exitOK, "ready"},
		{"CR LF", "local-ipv4s", "10.0.2.37\r\n10.0.2.40\r\n", "10.0.2.37 10.0.2.40", exitOK, "ready"},
		{"a length after an address", "local-ipv4s", "10.0.2.37/32", "10.0.2.37", exitOK, "ready"},
		{"twice", "local-ipv4s", "10.0.2.37\n10.0.2.37", "10.0.2.37", exitOK, "ready"},
		{"junk among good ones", "local-ipv4s", "10.0.2.37\n$(reboot)\n0.0.0.0\n255.255.255.255", "10.0.2.37", exitPartial, `$(reboot)`},
		{"100 addresses", "local-ipv4s", strings.Join(hundred, "\n"), strings.Join(hundred, " "), exitOK, "and 99 more"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			spoil(t, c, lab.Fault{Interface: "eth1", Path: tt.key, Value: &tt.value})
			says(t, ec2net(t, c, tt.status, "up", "eth1", "--wait", "10s"), tt.says)
			if got := addresses(t, c, "eth1"); got != tt.addrs {
				t.Errorf("eth1 has %s, want %s", got, tt.addrs)
			}
			if got := sources(t, c, "eth1"); got != tt.addrs {
				t.Errorf("rules are from %s, want %s", got, tt.addrs)
			}
			holds(t, ip(t, c, "route show table 10001"), "10.0.2.0/24 dev eth1 src 10.0.2.37")
			answers(t, c, lab.EIP2)
		})
	}
}

// No proxy is asked, whatever the environment says.
func TestProxyVariables(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	env := []string{}
	for _, name := range []string{"http_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"} {
		env = append(env, name+"=http://192.0.2.1:3128")
	}
	keep(t, c, "eth1", env...)
	answers(t, c, lab.EIP2)
}

// A late interface, at the length that was seen on EC2: 20 s. On the way there the lease alone makes the interface
// answer, and a session that began then does not notice the move to the interface's own table.
func TestTwentySeconds(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]lab.Fault{
		"no MAC":          {Interface: "eth1", Path: "**", Absent: true, For: 20 * time.Second},
		"device-number 0": {Interface: "eth1", Path: "device-number", Value: value("0"), For: 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			begun := time.Now()
			spoil(t, c, f)
			k := keep(t, c, "eth1")
			if took := time.Since(begun); took < agent.Silence {
				t.Errorf("ready after %s, want %s of silence at least", took, agent.Silence)
			}
			k.notify.await(t, "STATUS=degraded: 10.0.2.37/24 from its lease alone")
			answers(t, c, lab.EIP2)
			session(t, c, "10.0.2.37", lab.EIP2)
			k.notify.await(t, "STATUS=10.0.2.37, table 10001")
			took := time.Since(begun)
			if took < 20*time.Second {
				t.Errorf("in its own table after %s, want 20 s at least", took)
			}
			t.Logf("in its own table after %s", took.Round(time.Millisecond))
			if rules := ip(t, c, "rule"); strings.Contains(rules, "lookup 19") {
				t.Errorf("rules of the lease alone are left:\n%s", rules)
			}
			// Asked about once a second while the interface is awaited, at most seven keys each time.
			if n := len(c.IMDS().Requests(begun)); n > 7*int(took.Seconds()+5) {
				t.Errorf("%d requests in %s", n, took)
			}
		})
	}
}
