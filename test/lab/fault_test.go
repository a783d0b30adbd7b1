package lab

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

func text(s string) *string { return &s }

func inject(t testing.TB, c *Cloud, f Fault) int {
	t.Helper()
	id, err := c.IMDS().Inject(f)
	must(t, err)
	return id
}

// What a client sees of each fault.
func TestFaults(t *testing.T) {
	c := newCloud(t, Config{})
	a := ask(t, c.Instance()).session()
	for name, test := range map[string]struct {
		fault Fault
		see   func(status int, h http.Header, body string, err error) bool
	}{
		"503 with Retry-After": {Fault{Status: 503, RetryAfter: "7"}, func(s int, h http.Header, b string, err error) bool {
			return s == 503 && h.Get("Retry-After") == "7" && strings.Contains(b, "503 - Service Unavailable")
		}},
		"403": {Fault{Status: 403}, func(s int, _ http.Header, _ string, _ error) bool { return s == 403 }},
		"html": {Fault{Body: HTML}, func(s int, h http.Header, b string, _ error) bool {
			return s == 200 && h.Get("Content-Type") == "text/html" && strings.Contains(b, "<html>")
		}},
		"html and 503": {Fault{Status: 503, Body: HTML}, func(s int, _ http.Header, b string, _ error) bool { return s == 503 && strings.Contains(b, "Sign in") }},
		"binary":       {Fault{Body: Binary}, func(s int, _ http.Header, b string, _ error) bool { return s == 200 && b == allBytes() }},
		"empty":        {Fault{Body: Empty}, func(s int, _ http.Header, b string, err error) bool { return s == 200 && b == "" && err == nil }},
		"huge": {Fault{Body: Huge}, func(s int, _ http.Header, b string, err error) bool {
			return s == 200 && len(b) >= 10<<20 && err == nil
		}},
		"endless": {Fault{Body: Endless}, func(s int, _ http.Header, b string, _ error) bool { return s == 200 && len(b) == 20<<20 }},
		"short": {Fault{Body: Short}, func(s int, _ http.Header, b string, err error) bool {
			return s == 200 && b != "" && errors.Is(err, io.ErrUnexpectedEOF)
		}},
		"own text": {Fault{Body: "10.0.0.0/40"}, func(s int, _ http.Header, b string, _ error) bool { return s == 200 && b == "10.0.0.0/40" }},
		"redirect": {Fault{Redirect: "http://203.0.113.1/"}, func(s int, h http.Header, _ string, _ error) bool {
			return s == 302 && h.Get("Location") == "http://203.0.113.1/"
		}},
		"redirect 307": {Fault{Redirect: "/latest", Status: 307}, func(s int, h http.Header, _ string, _ error) bool { return s == 307 && h.Get("Location") == "/latest" }},
		"reset":        {Fault{Reset: true}, func(_ int, _ http.Header, _ string, err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
		"close":        {Fault{Close: true}, func(_ int, _ http.Header, _ string, err error) bool { return errors.Is(err, io.EOF) }},
		"absent":       {Fault{Absent: true}, func(s int, _ http.Header, _ string, _ error) bool { return s == 404 }},
		"value":        {Fault{Value: text("zero")}, func(s int, _ http.Header, b string, _ error) bool { return s == 200 && b == "zero" }},
		"empty value":  {Fault{Value: text("")}, func(s int, _ http.Header, b string, _ error) bool { return s == 200 && b == "" }},
	} {
		t.Run(name, func(t *testing.T) {
			test.fault.Path = "meta-data/mac"
			id := inject(t, c, test.fault)
			a.http.CloseIdleConnections() // else net/http tries again by itself
			s, h, b, err := a.do("GET", "/latest/meta-data/mac", "X-aws-ec2-metadata-token", a.token)
			if !test.see(s, h, b, err) {
				t.Errorf("saw %d %v %.200q %v", s, h, b, err)
			}
			if a.get(200, "instance-id") == "" {
				t.Error("another key is spoilt")
			}
			c.IMDS().Clear(id)
			if got := a.get(200, "mac"); got != "02:ec:20:00:00:00" {
				t.Errorf("after Clear: %q", got)
			}
		})
	}
}

func TestFaultDelayAndDrip(t *testing.T) {
	c := newCloud(t, Config{})
	a := ask(t, c.Instance()).session()
	inject(t, c, Fault{Path: "meta-data/mac", Delay: 40 * time.Millisecond, Drip: 2 * time.Millisecond})
	start := time.Now()
	if got := a.get(200, "mac"); got != "02:ec:20:00:00:00" {
		t.Errorf("dripped %q", got)
	}
	if d := time.Since(start); d < 40*time.Millisecond+17*2*time.Millisecond {
		t.Errorf("took %v", d)
	}
	// A client that hangs up ends the wait, or Close would last as long.
	inject(t, c, Fault{Path: "meta-data/instance-id", Delay: time.Hour})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", a.base+"/latest/meta-data/instance-id", nil)
	must(t, err)
	if resp, err := a.http.Do(r); err == nil {
		resp.Body.Close()
		t.Error("no delay")
	}
}

// Skip, Times and For.
func TestFaultCounts(t *testing.T) {
	c := newCloud(t, Config{})
	a := ask(t, c.Instance()).session()
	inject(t, c, Fault{Path: "meta-data/mac", Status: 500, Skip: 1, Times: 2})
	for i, want := range []int{200, 500, 500, 200, 200} {
		if s, _, _, _ := a.do("GET", "/latest/meta-data/mac", "X-aws-ec2-metadata-token", a.token); s != want {
			t.Errorf("request %d: %d, want %d", i, s, want)
		}
	}
	id := inject(t, c, Fault{Path: "meta-data/mac", Status: 500, For: time.Hour})
	a.get(500, "mac")
	c.imds.mu.Lock()
	c.imds.faults[len(c.imds.faults)-1].expires = time.Now().Add(-time.Second)
	c.imds.mu.Unlock()
	a.get(200, "mac")
	if _, there := c.IMDS().Faults()[id]; there {
		t.Error("a fault that has ended is listed")
	}
}

// An interface that the cloud is still publishing: its MAC missing for three looks, whatever they look at.
func TestFaultLateInterface(t *testing.T) {
	c := newCloud(t, Config{})
	a := ask(t, c.Instance()).session()
	k, err := c.Interface("eth1")
	must(t, err)
	dir := "network/interfaces/macs/" + k.MAC.String()
	inject(t, c, Fault{Interface: "eth1", Absent: true, Times: 3})
	if got := a.get(200, "network/interfaces/macs/"); strings.Contains(got, k.MAC.String()) {
		t.Errorf("first look: %q", got)
	}
	a.get(200, "mac") // does not look
	a.get(404, dir+"/")
	a.get(404, dir+"/device-number")
	if got := a.get(200, "network/interfaces/macs/"); !strings.Contains(got, k.MAC.String()) {
		t.Errorf("fourth look: %q", got)
	}

	inject(t, c, Fault{Interface: "eth1", Path: "device-number", Value: text("0"), Times: 1})
	if a.get(200, dir+"/device-number") != "0" || a.get(200, dir+"/device-number") != "1" {
		t.Error("device-number was not 0 once")
	}
	inject(t, c, Fault{Interface: "eth1", Path: "local-ipv4s", Absent: true})
	if got := a.get(200, dir+"/"); strings.Contains(got, "local-ipv4s") || !strings.Contains(got, "device-number") {
		t.Errorf("listing without a key: %q", got)
	}
	a.get(404, dir+"/local-ipv4s")
	c.IMDS().Clear()
	a.get(200, dir+"/local-ipv4s")
}

// Via: an interface that cannot reach the metadata.
func TestFaultVia(t *testing.T) {
	c := newCloud(t, Config{})
	naive(t, c, "eth1", netip.PrefixFrom(ip10_0_2_37, 24), netip.MustParseAddr("10.0.2.1"))
	inject(t, c, Fault{Via: "eth1", Reset: true})
	inject(t, c, Fault{Via: "eth1", Absent: true})
	ask(t, c.Instance()).session().get(200, "mac")
	a := ask(t, c.Instance())
	a.http.Transport = &http.Transport{DialContext: c.Instance().DialVia("eth1")}
	if _, _, _, err := a.do("PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60"); err == nil {
		t.Error("by eth1 it answered")
	}
	requests := c.IMDS().Requests(time.Time{})
	if r := requests[len(requests)-1]; r.Interface != "eth1" || r.Status != 0 {
		t.Errorf("recorded %+v", r)
	}
}

func TestFaultCheck(t *testing.T) {
	c := newCloud(t, Config{})
	for want, f := range map[string]Fault{
		"it says nothing of what goes wrong": {},
		"exclude each other":                 {Status: 500, Reset: true},
		"status 999":                         {Status: 999},
		"cannot be negative":                 {Status: 500, Times: -1},
		`path pattern "a/[b"`:                {Status: 500, Path: "a/[b"},
		`no interface "eth7"`:                {Status: 500, Interface: "eth7"},
		`no interface "eth8"`:                {Status: 500, Via: "eth8"},
	} {
		if _, err := c.IMDS().Inject(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", f, err, want)
		}
	}
	if n := len(c.IMDS().Faults()); n != 0 {
		t.Errorf("%d faults at work", n)
	}
}

func TestMatchPath(t *testing.T) {
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"**", "", true}, {"**", "a/b", true}, {"", "", true}, {"", "a", false}, {"a", "a/", true}, {"/a", "a", true},
		{"a/*", "a/b", true}, {"a/*", "a/b/c", false}, {"a/**", "a", true}, {"a/**", "a/b/c", true},
		{"**/c", "a/b/c", true}, {"**/c", "c", true}, {"a/**/c", "a/c", true}, {"a/**/c", "a/b/d", false},
		{"local-ipv*", "local-ipv4s", true}, {"x", "a/x", false}, {"a/b", "a", false},
	} {
		if got := matchPath(test.pattern, test.name); got != test.want {
			t.Errorf("%q on %q: %v", test.pattern, test.name, got)
		}
	}
}
