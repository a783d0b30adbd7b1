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
// the card's listing, its addresses and prefixes of both families, and the IPv6 subnets. What can not
// change is asked for once, and a token lasts for hours.
const (
	perReading = 6
	perMinute  = 2 * perReading // a card that holds: a reading every 30 s
	youngly    = 12 * perReading
	outageAll  = 12 // requests in the first 15 s of an outage, in which each reading ends with its first one
)

// A reading costs what the budget says; a young card is read every 5 s, and one that has grown up as often
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
	list := c.IMDS().Requests(since)
	if n := len(list); n < 2 || n > youngly/4 {
		t.Errorf("%d requests in 15 s of a young card, want at most %d", n, youngly/4)
	}
	for _, r := range list {
		if r.Method == http.MethodPut {
			t.Error("a new token was asked for while the old one held")
		}
	}
	// After a whole reading the next one that nobody asked for is 5 s away.
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
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
	if n := len(c.IMDS().Requests(since)); n < 4 || n > outageAll {
		t.Errorf("%d requests in the first 15 s of an outage, want at most %d", n, outageAll)
	}
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
	}{
		{"503 for everything", lab.Fault{Status: 503, RetryAfter: "4"}},
		{"429 for one key", lab.Fault{Card: "eth1", Path: "local-ipv4s", Status: 429, RetryAfter: "4"}},
		{"a date", lab.Fault{Status: 503, RetryAfter: time.Now().Add(7 * time.Second).UTC().Format(http.TimeFormat)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := hostile(t, lab.Config{})
			k := keep(t, c, "eth1")
			k.notify.await(t, "lease until")
			spoil(t, c, tt.fault)
			if tt.name == "a date" {
				c.IMDS().Clear()
				tt.fault.RetryAfter = time.Now().Add(5 * time.Second).UTC().Format(http.TimeFormat) // whole seconds
				spoil(t, c, tt.fault)
			}
			k.reload(t, c)
			time.Sleep(300 * time.Millisecond) // the rest of that reading is under way already
			told := time.Now()
			time.Sleep(3500 * time.Millisecond)
			if list := c.IMDS().Requests(told); len(list) != 0 {
				t.Errorf("%d requests before the time was over, the first after %s", len(list), list[0].Time.Sub(told))
			}
			eventually(t, hang, "and then it asks again", func() bool { return len(c.IMDS().Requests(told)) > 0 })
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
	says(t, statusOf1(t, c, "eth1"), "degraded: 10.0.2.37/24 by its lease alone", "switched off")
	if n := k.lineCount(); n > 5 {
		t.Errorf("log:\n%s", k.log)
	}
}
