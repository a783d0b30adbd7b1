package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
)

// keysOfInterface are all keys that an interface is set up from, and the ways to them. A slash at the end: the
// directory itself, not what is in it.
var keysOfInterface = []struct {
	iface, path, method string
}{
	{"", "api/token", http.MethodPut},
	{"", "meta-data/mac", ""},
	{"eth1", "", ""},
	{"eth1", "device-number", ""},
	{"eth1", "network-card*", ""},
	{"eth1", "interface-id", ""},
	{"eth1", "local-ipv4s", ""},
	{"eth1", "subnet-ipv4-cidr-block", ""},
	{"eth1", "ipv6s", ""},
	{"eth1", "subnet-ipv6-cidr-blocks", ""},
	{"eth1", "ipv4-prefix", ""},
	{"eth1", "ipv6-prefix", ""},
}

// kindsOfFault are what can become of one key.
var kindsOfFault = map[string]lab.Fault{
	"404": {Status: 404}, "absent": {Absent: true}, "500": {Status: 500}, "503": {Status: 503, RetryAfter: "1"}, "429": {Status: 429, RetryAfter: "1"},
	"401": {Status: 401}, "403": {Status: 403}, "204": {Status: 204}, "HTML": {Body: lab.HTML}, "binary": {Body: lab.Binary}, "empty": {Body: lab.Empty},
	"huge": {Body: lab.Huge}, "endless": {Body: lab.Endless}, "short": {Body: lab.Short}, "noise": {Body: "\x7f\x00;--"},
	"late": {Delay: 1500 * time.Millisecond}, "drip": {Drip: 400 * time.Millisecond}, "reset": {Reset: true}, "close": {Close: true},
	"redirect": {Redirect: "http://192.0.2.1/"}, "wrong type": {Body: `{"a":[null]}`}, "0": {Body: "0"}, "far out": {Body: "99999999999999999999"},
}

// Every key fails in turn, in every way, under an interface that is set up: a process that comes new to it,
// and so asks for everything, takes nothing away and ends with a documented status.
func TestEveryKeyInTurn(t *testing.T) {
	t.Parallel()
	for kind, fault := range kindsOfFault {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := full(t)
			ec2net(t, c, exitOK, "up", "eth1")
			held := world(t, c)
			for _, key := range keysOfInterface {
				f := fault
				f.Interface, f.Path, f.Method = key.iface, key.path, key.method
				heal := spoil(t, c, f)
				askBriefly(t, c, kind+" "+key.path)
				if !keepsAll(held, world(t, c)) {
					unchanged(t, c, held, kind+" "+key.path)
				}
				heal()
			}
			ec2net(t, c, exitOK, "up", "eth1")
			unchanged(t, c, held, "after all of it")
		})
	}
}

// askBriefly runs a process that asks, and gives up before another reading could confirm the first (30 s). One that gave
// up before it asked, on a machine that has much else to do, has shown nothing yet, and the next one has twice the time.
func askBriefly(t *testing.T, c *lab.Cloud, what string) {
	t.Helper()
	for wait := 600 * time.Millisecond; wait < 20*time.Second; wait *= 2 {
		since := time.Now()
		out, status := on(t, c, "ec2net", "--cloud", "ec2", "up", "eth1", "--wait", wait.String())
		if status != exitOK && status != exitUnavailable && status != exitPartial {
			t.Errorf("%s: exit status %d: %s", what, status, out)
		}
		if strings.Contains(out, "panic") || strings.Contains(out, "DATA RACE") {
			t.Errorf("%s: %s", what, out)
		}
		if len(c.IMDS().Requests(since)) > 0 {
			return
		}
	}
	t.Errorf("%s: nothing was asked", what)
}

// keepsAll: nothing that was there is missing.
func keepsAll(before, after []string) bool {
	have := map[string]bool{}
	for _, line := range after {
		have[line] = true
	}
	for _, line := range before {
		if !have[line] {
			return false
		}
	}
	return true
}

// The same for a process that keeps the interface, with the keys that it goes on asking for: nothing moves,
// not even for a moment, nothing is said of what is over within seconds, and afterwards all is well.
func TestKeysFailWhileKept(t *testing.T) {
	t.Parallel()
	c := full(t)
	k := keep(t, c, "eth1")
	k.notify.await(t, "lease until")
	held, lines := world(t, c), k.lineCount()
	quiet := silently(t, c)
	for kind, fault := range kindsOfFault {
		if kind == "absent" || kind == "404" || kind == "empty" {
			continue // an answer, of which the second one counts: see TestDroppedTwice
		}
		for _, path := range []string{"local-ipv4s", "ipv6s", "ipv6-prefix"} {
			if kind == "drip" || kind == "late" {
				path = "local-ipv4s" // 2 s each
			}
			f := fault
			f.Interface, f.Path = "eth1", path
			heal := spoil(t, c, f)
			k.reload(t, c, path)
			heal()
			if kind == "drip" || kind == "late" {
				break
			}
		}
		for range 2 { // a whole reading in between: what lasts is said, and all kinds together may, on a slow machine
			k.reload(t, c, "local-ipv4s")
		}
	}
	c.IMDS().ExpireTokens()
	tokens := c.IMDS().Stats().Tokens
	k.reload(t, c, "local-ipv4s")
	eventually(t, hang, "the interface is set again", func() bool {
		out := statusOf1(t, c, "eth1")
		return !strings.Contains(out, "waiting") && strings.Contains(out, "drift       none")
	})
	if got := c.IMDS().Stats().Tokens - tokens; got > 4 { // one for each of the connections at most
		t.Errorf("%d tokens were asked for after all had expired", got)
	}
	quiet("a failing metadata")
	unchanged(t, c, held, "a failing metadata")
	if got := k.lineCount(); got > lines+2 { // 403 is definite, and said, and so is its end
		t.Errorf("log:\n%s", k.log)
	}
}

// What the metadata drops goes after readings that agree for as long as is set, and not after one. An interface in an
// IPv4 subnet without an IPv4 address is not believed at all.
func TestDroppedTwice(t *testing.T) {
	t.Parallel()
	c := full(t)
	configure(t, c, soon)
	k := keep(t, c, "eth1")
	before := addresses(t, c, "eth1")
	for _, f := range []lab.Fault{{Status: 404}, {Absent: true}, {Body: lab.Empty}} {
		f.Interface, f.Path = "eth1", "local-ipv4s"
		heal := spoil(t, c, f)
		for range 3 {
			k.reload(t, c, eth1MAC+"/")
			time.Sleep(200 * time.Millisecond) // the rest of the reading
		}
		heal()
		if got := addresses(t, c, "eth1"); got != before {
			t.Errorf("%+v: eth1 has %s, want %s", f, got, before)
		}
	}
	k.reload(t, c)
	two := "10.0.2.37\n10.0.2.4"
	heal := spoil(t, c, lab.Fault{Interface: "eth1", Path: "local-ipv4s", Value: &two, Times: 1})
	since := time.Now()
	k.reload(t, c)
	eventually(t, hang, "a second reading", func() bool {
		n := 0
		for _, r := range c.IMDS().Requests(since) {
			if strings.HasSuffix(r.Path, "/local-ipv4s") {
				n++
			}
		}
		return n > 2
	})
	heal()
	if got := addresses(t, c, "eth1"); got != before {
		t.Errorf("after one reading without it: eth1 has %s, want %s", got, before)
	}
	must(t, c.Release("eth1", addr("10.0.2.40")))
	k.reload(t, c)
	eventually(t, hang, "the released address goes", func() bool { return addresses(t, c, "eth1") == "10.0.2.4 10.0.2.37" })
}
