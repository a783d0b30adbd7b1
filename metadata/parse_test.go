package metadata

import (
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var nets4 = []netip.Prefix{netip.MustParsePrefix("10.0.2.0/24")}

func TestAddr(t *testing.T) {
	nets6 := []netip.Prefix{netip.MustParsePrefix("2001:db8:1:2::/64"), netip.MustParsePrefix("2001:db8:1:3::/64")}
	for _, tt := range []struct {
		in      string
		is4     bool
		subnets []netip.Prefix
		want    string
		err     error
	}{
		{"10.0.2.37", true, nets4, "10.0.2.37", nil},
		{"10.0.2.37/24", true, nets4, "10.0.2.37", nil},
		{"10.0.2.37", true, nil, "10.0.2.37", nil},
		{"10.0.3.37", true, nets4, "", errOutside},
		{"10.0.3.37", true, nil, "10.0.3.37", nil},
		{"10.0.2.0", true, nets4, "", errEdge},
		{"10.0.2.255", true, nets4, "", errEdge},
		{"10.0.2.255", true, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/15")}, "10.0.2.255", nil},
		{"10.1.255.255", true, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/15")}, "", errEdge},
		{"10.0.2.37", false, nil, "", errNoAddr},
		{"::ffff:10.0.2.37", true, nil, "", errNoAddr},
		{"::ffff:10.0.2.37", false, nil, "", errReserved},
		{"127.0.0.1", true, nil, "", errReserved},
		{"0.0.0.0", true, nil, "", errReserved},
		{"169.254.169.254", true, nil, "", errReserved},
		{"224.0.0.251", true, nil, "", errReserved},
		{"255.255.255.255", true, nil, "", errReserved},
		{"240.0.0.9", true, nil, "240.0.0.9", nil}, // class E is used in big private networks
		{"10.0.2.037", true, nil, "", errNoAddr},
		{"10.0.2", true, nil, "", errNoAddr},
		{"10.0.2.37/33", true, nil, "", errNoAddr},
		{"10.0.2.37/", true, nil, "", errNoAddr},
		{"2001:DB8:1:2:0:0:0:37", false, nets6, "2001:db8:1:2::37", nil},
		{"2001:db8:1:3::37/64", false, nets6, "2001:db8:1:3::37", nil},
		{"2001:db8:1:4::37", false, nets6, "", errOutside},
		{"2001:db8:1:2::", false, nets6, "2001:db8:1:2::", nil},
		{"fd00::1", false, nil, "fd00::1", nil},
		{"fe80::1", false, nil, "", errReserved},
		{"fe80::1%eth0", false, nil, "", errNoAddr},
		{"2001:db8::1%eth0", false, nil, "", errNoAddr},
		{"::1", false, nil, "", errReserved},
		{"::", false, nil, "", errReserved},
		{"ff02::1", false, nil, "", errReserved},
		{"", true, nil, "", errNoAddr},
	} {
		f := family6()
		if tt.is4 {
			f = family4()
		}
		got, err := f.addr(tt.subnets)(tt.in)
		if err != tt.err || (err == nil && got.String() != tt.want) {
			t.Errorf("%q in %v: %v, %v; want %s, %v", tt.in, tt.subnets, got, err, tt.want, tt.err)
		}
	}
}

func TestBlocks(t *testing.T) {
	for _, tt := range []struct {
		in               string
		is4              bool
		subnet, delegate string // what it becomes as one and the other; "" is refused
	}{
		{"10.0.2.0/24", true, "10.0.2.0/24", ""}, // as a delegated block it has the whole subnet in it
		{"10.0.2.37/24", true, "10.0.2.0/24", ""},
		{"10.0.2.70/28", true, "10.0.2.64/28", "10.0.2.64/28"},
		{"10.0.0.0/8", true, "10.0.0.0/8", ""},
		{"10.0.0.0/7", true, "", ""},
		{"0.0.0.0/0", true, "", ""},
		{"10.0.2.9/30", true, "10.0.2.8/30", "10.0.2.8/30"},
		{"10.0.2.9/31", true, "", "10.0.2.8/31"},
		{"10.0.2.9/32", true, "", "10.0.2.9/32"},
		{"10.7.0.0/16", true, "10.7.0.0/16", "10.7.0.0/16"},
		{"10.0.0.0/16", true, "10.0.0.0/16", ""},
		{"10.0.2.9/33", true, "", ""},
		{"10.0.2.9", true, "", ""},
		{"127.0.0.0/8", true, "", ""},
		{"169.0.0.0/8", true, "", ""}, // the metadata's own address is in it
		{"224.0.0.0/8", true, "", ""},
		{"2001:db8::/64", true, "", ""},
		{"2001:db8:1:2::37/64", false, "2001:db8:1:2::/64", ""},
		{"2001:db8:1:2:a:b::/80", false, "2001:db8:1:2:a::/80", "2001:db8:1:2:a::/80"},
		{"2001:db8:1::/44", false, "2001:db8::/44", ""},
		{"2001:db8:2::/48", false, "2001:db8:2::/48", "2001:db8:2::/48"},
		{"2001:db8::/31", false, "", ""},
		{"2001:db8:1:2::8/126", false, "2001:db8:1:2::8/126", "2001:db8:1:2::8/126"},
		{"2001:db8:1:2::8/128", false, "", "2001:db8:1:2::8/128"},
		{"::/0", false, "", ""},
		{"::ffff:10.0.0.0/104", false, "", ""},
		{"fe80::/64", false, "", ""},
		{"ff00::/64", false, "", ""},
		{"10.0.0.0/24", false, "", ""},
	} {
		f, subs := family6(), []netip.Prefix{netip.MustParsePrefix("2001:db8:1:2::/64")}
		if tt.is4 {
			f, subs = family4(), nets4
		}
		for want, parse := range map[string]func(string) (netip.Prefix, error){"s" + tt.subnet: f.subnet, "d" + tt.delegate: f.delegated(subs)} {
			got, err := parse(tt.in)
			if want = want[1:]; (err == nil) != (want != "") || (err == nil && got.String() != want) {
				t.Errorf("%s: %v, %v; want %q", tt.in, got, err, want)
			}
		}
	}
}

func TestSeparators(t *testing.T) {
	want := addrs("10.0.2.37", "10.0.2.5", "10.0.2.6").Value
	for _, sep := range []string{"\n", "\t", " ", ",", ", ", "\r\n", "\n\n", " \t\n,"} {
		got, bad := parseList(strings.Join([]string{"10.0.2.37", "10.0.2.5", "10.0.2.6", "10.0.2.5"}, sep)+sep, family4().addr(nets4))
		if !reflect.DeepEqual(got, want) || bad != nil {
			t.Errorf("%q: %v, %v", sep, got, bad)
		}
	}
}

func TestListBounds(t *testing.T) {
	list := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "10.%d.%d.1\n", i/256, i%256)
		}
		return b.String()
	}
	parse := family4().addr(nil)
	if got, bad := parseList(list(1024), parse); len(got) != 1024 || bad != nil {
		t.Errorf("1024: %d, %v", len(got), bad)
	}
	if got, bad := parseList(list(1025), parse); got != nil || len(bad) != 1 {
		t.Errorf("1025: %d, %v", len(got), bad)
	}
	if got, bad := parseList(strings.Repeat("x\n", 500)+"10.0.0.1", parse); len(got) != 1 || len(bad) != maxRefusals+1 {
		t.Errorf("500 bad ones: %v, %d errors", got, len(bad))
	}
}

// TestUnusableListIsNoRemoval: words that are no addresses do not say that there are none.
func TestUnusableListIsNoRemoval(t *testing.T) {
	for _, value := range []string{"error", "192.0.2.1", "10.0.2.255", strings.Repeat("10.0.2.9\n", 2000)} {
		f := newFake(t, "plain")
		f.change(func(v map[string]string) { v[second(keyAddrs4)] = value })
		got, err := f.client(t).Read(t.Context(), secondMAC)
		if err != nil || got.Addrs4.Status != Unavailable || len(got.Problems) != 1 {
			t.Errorf("%.20q: %v, %v", value, got, err)
		}
	}
}

func TestNumberAndID(t *testing.T) {
	for in, want := range map[string]int{"0": 0, "1": 1, "99": 99, "007": 7, "100": -1, "256": -1, "-1": -1, "+1": -1, "1.0": -1, "0x1": -1, "1e1": -1, "": -1, "99999999999999999999": -1, "١": -1, "network/": -1} {
		if n, err := parseNumber(in); (err == nil && n != want) || (err == nil) != (want >= 0) {
			t.Errorf("%q: %d, %v", in, n, err)
		}
	}
	for in, ok := range map[string]bool{"eni-0a1b2c3d4e5f60002": true, "eni-1": true, "eni-": false, "eni-0A": false, "eni-../x": false, "eni-a b": false, "eth0": false, "sni-0a1b2c3d4e5f60002": true, "a-1": true, "-1": false, "0a-1": false, "eni-1-2": false, "a.b-1": false, "eni-" + strings.Repeat("a", 61): false, "": false} {
		if id, err := parseID(in); (err == nil) != ok || (ok && id != in) || (!ok && id != "") {
			t.Errorf("%q: %q, %v", in, id, err)
		}
	}
}

func TestListingRefused(t *testing.T) {
	for _, in := range []string{"", "\n\n", "Not Found", "a\n/\nb", "a//", "../x", "<html>", `{"a":1}`, strings.Repeat("a", 65), strings.Repeat("a\n", 1025), "a\x00b"} {
		if got, err := parseListing(in); err == nil {
			t.Errorf("%.20q: %v", in, got)
		}
	}
	got, err := parseListing("device-number\r\nipv4-associations/\r\n local-ipv4s \r\n")
	if want := []string{"device-number", "ipv4-associations", "local-ipv4s"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 21, 13, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "300": 5 * time.Minute, "301": 5 * time.Minute,
		"99999999999999999999999": 5 * time.Minute, "-1": 0, "1.5": 0, "soon": 0,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		now.Add(-time.Hour).Format(http.TimeFormat):       0,
		now.Add(time.Hour).Format(http.TimeFormat):        5 * time.Minute,
		"Sat, 21 Nov 9999 13:00:00 GMT":                   5 * time.Minute,
	} {
		if got := retryAfter(in, now); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
