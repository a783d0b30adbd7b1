package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
)

// The budget of requests, by one `ec2net run`, as the lab's server counts them. A reading is at most six:
// the interface's listing, its addresses and prefixes of both families, and the IPv6 subnets. What can not
// change is asked for once, and a token lasts for hours.
const (
	perReading = 6
	perMinute  = 2 * perReading // an interface that holds: a reading every 30 s
	youngly    = 12 * perReading
	outageAll  = 12 // requests in the first 15 s of an outage, in which each reading ends with its first one
)

// A reading costs what the budget says; a young interface is read every 5 s, and one that has grown up as often
// as its configuration says.
func TestReadingBudget(t *testing.T) {
	t.Parallel()
	c := full(t)
	k := keep(t, c, "eth1")
	k.notify.await(t, "lease until")
	eventually(t, hang, "a second reading", func() bool {
		return len(c.IMDS().Requests(time.Now().Add(-time.Second))) > 0 && time.Since(first1(c)) > 4*time.Second
	})
	time.Sleep(time.Second) // let it end, and then count for a quarter of a minute of nothing
	since := time.Now()
	time.Sleep(15 * time.Second)
	list := within(c.IMDS().Requests(since), since, 15*time.Second)
	if n := len(list); n < 2 || n > youngly/4 {
		t.Errorf("%d requests in 15 s of a young interface, want at most %d", n, youngly/4)
	}
	for _, r := range list {
		if r.Method == http.MethodPut {
			t.Error("a new token was asked for while the old one held")
		}
	}
	// After a whole reading the next one that nobody asked for is 5 s away.
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	since = time.Now()
	must(t, c.IMDS().Wait(ctx, since, func(list []lab.Request) bool {
		first := slices.IndexFunc(list, func(r lab.Request) bool { return strings.HasSuffix(r.Path, eth1MAC+"/") })
		return first >= 0 && len(list)-first >= perReading
	}))
	since = time.Now()
	k.reload(t, c, "local-ipv4s")
	time.Sleep(500 * time.Millisecond)
	if n := len(c.IMDS().Requests(since)); n > perReading {
		t.Errorf("%d requests for one reading, want at most %d (%d a minute)", n, perReading, perMinute)
	}
	since = time.Now()
	spoil(t, c, lab.Fault{Status: 503})
	k.reload(t, c)
	time.Sleep(15 * time.Second)
	if n := len(within(c.IMDS().Requests(since), since, 15*time.Second)); n < 4 || n > outageAll {
		t.Errorf("%d requests in the first 15 s of an outage, want at most %d", n, outageAll)
	}
}

// within are the requests of some time: a sleep on a busy machine is longer.
func within(list []lab.Request, since time.Time, length time.Duration) []lab.Request {
	return slices.DeleteFunc(slices.Clone(list), func(r lab.Request) bool { return r.Time.Sub(since) > length })
}

func first1(c *lab.Cloud) time.Time {
	for _, r := range c.IMDS().Requests(time.Time{}) {
		return r.Time
	}
	return time.Now()
}

// Retry-After is kept to: no request is earlier.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fault lab.Fault
		says  string
	}{
		{"503 for everything", lab.Fault{Status: 503, RetryAfter: "4"}, "; waiting for the metadata ("},
		{"429 for one key", lab.Fault{Interface: "eth1", Path: "local-ipv4s", Status: 429, RetryAfter: "4"}, "; waiting for metadata keys that could not be read ("},
		{"a date", lab.Fault{Status: 503}, "; waiting for the metadata ("},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			k := keep(t, c, "eth1")
			k.notify.await(t, "lease until")
			since, due := time.Now(), time.Now().Add(5*time.Second).Truncate(time.Second)
			if tt.name == "a date" {
				tt.fault.RetryAfter = due.UTC().Format(http.TimeFormat) // whole seconds
			}
			spoil(t, c, tt.fault)
			k.reload(t, c)
			k.notify.await(t, tt.says) // that reading has ended
			list := c.IMDS().Requests(since)
			last := list[len(list)-1].Time
			if tt.name != "a date" {
				due = last.Add(4 * time.Second)
			}
			eventually(t, hang, "it asks again", func() bool { return len(c.IMDS().Requests(since)) > len(list) })
			if next := c.IMDS().Requests(since)[len(list)].Time; next.Before(due) {
				t.Errorf("asked again after %s, before the time was over", next.Sub(last))
			}
		})
	}
}

// Where the metadata says that it is switched off, it is hardly asked any more.
func TestOffIsLeftAlone(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	spoil(t, c, lab.Fault{Path: "api/token", Status: 403, Body: lab.HTML})
	k := keep(t, c, "eth1") // by its lease
	time.Sleep(8 * time.Second)
	if n := len(c.IMDS().Requests(time.Time{})); n > 2 {
		t.Errorf("%d requests to a service that is switched off", n)
	}
	says(t, statusOf1(t, c, "eth1"), "degraded: 10.0.2.37/24 from its lease alone", "switched off")
	if n := k.lineCount(); n > 5 {
		t.Errorf("log:\n%s", k.log)
	}
}
