package metadata

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
)

// checkRefusals: an error says one thing, in a line that can be printed.
func checkRefusals(t *testing.T, refused []error) {
	for _, err := range refused {
		s := err.Error()
		if len(s) > 600 || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("bad error text %.700q", s)
		}
	}
	if len(refused) > maxRefusals+1 {
		t.Errorf("%d errors", len(refused))
	}
}

func FuzzList(f *testing.F) {
	for _, s := range []string{"10.0.2.37\n10.0.2.5", "10.0.2.37\t10.0.2.5, 10.0.2.6/24", "2001:DB8:1:2::37/64", "10.0.2.37/24", "::ffff:10.0.2.1", "fe80::1%eth0",
		"0.0.0.0/0 ::/0", "10.0.2.64/28", "2001:db8:1:2:a::/80", "\x00", "<html>", "", strings.Repeat("1.1.1.1,", 1030), "\ufeff10.0.2.1"} {
		f.Add(s)
	}
	subs := append([]netip.Prefix{netip.MustParsePrefix("2001:db8:1:2::/64")}, nets4...)
	f.Fuzz(func(t *testing.T, s string) {
		for _, fam := range []family{family4(), family6()} {
			for _, in := range [][]netip.Prefix{nil, subs} {
				checkAddrs(t, fam, in, s)
				checkBlocks(t, fam, fam.subnet, s)
				checkBlocks(t, fam, fam.delegated(in), s)
			}
		}
	})
}

func checkAddrs(t *testing.T, fam family, subs []netip.Prefix, s string) {
	got, refused := parseList(s, fam.addr(subs))
	checkRefusals(t, refused)
	var again []string
	for _, a := range got {
		if a.Is4() != fam.is4 || !a.IsGlobalUnicast() || a.Zone() != "" || a.Is4In6() {
			t.Errorf("%v from %q", a, s)
		}
		if subs != nil && !slices.ContainsFunc(subs, func(p netip.Prefix) bool { return p.Contains(a) }) {
			t.Errorf("%v is outside, from %q", a, s)
		}
		again = append(again, a.String())
	}
	if twice, bad := parseList(strings.Join(again, "\n"), fam.addr(subs)); bad != nil || !slices.Equal(got, twice) {
		t.Errorf("%v becomes %v, %v", got, twice, bad)
	}
}

func checkBlocks(t *testing.T, fam family, parse func(string) (netip.Prefix, error), s string) {
	got, refused := parseList(s, parse)
	checkRefusals(t, refused)
	for i, p := range got {
		if p != p.Masked() || p.Bits() < 8 || p.Addr().Is4() != fam.is4 || fam.isReserved(p) || slices.Contains(got[:i], p) {
			t.Errorf("%v from %q", p, s)
		}
	}
}

func FuzzListing(f *testing.F) {
	for _, s := range []string{"device-number\nlocal-ipv4s\n", "02:00:00:00:00:01/\n02:00:00:00:00:02/", "a/b", "<html>", "", "\r\n", "a b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		names, err := parseListing(s)
		if err != nil {
			checkRefusals(t, []error{err})
			return
		}
		for _, n := range names {
			if n == "" || strings.ContainsAny(n, "/ \n\t<\x00") {
				t.Errorf("name %q from %q", n, s)
			}
		}
		all, err := parseMACs(s)
		if err == nil && (len(all) == 0 || slices.Contains(all, MAC{})) {
			t.Errorf("%v from %q", all, s)
		}
	})
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"10.0.2.37", "", " \n", "<html>", "\ufeff<", "\x00", "\xff", "1\n", "\x1b[2J"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := text(s)
		if (err == nil && a.Status == Unavailable) || (a.Status == Present && (a.Value == "" || a.Value[0] == '<' || strings.ContainsAny(a.Value, "\x00\x1b"))) {
			t.Errorf("%q: %v, %v", s, a, err)
		}
		if _, err := parseNumber(a.Value); err != nil {
			checkRefusals(t, []error{err})
		}
		if id, err := parseID(a.Value); err != nil && id != "" {
			t.Errorf("%q: %q, %v", s, id, err)
		}
	})
}

func FuzzEndpoint(f *testing.F) {
	for _, s := range []string{endpoint4, endpoint6, "http://127.0.0.1:1338/", "http://[::1]:80", "http://a", "http://1.2.3.4:80/x", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseEndpoint(s)
		if err != nil {
			checkRefusals(t, []error{err})
			return
		}
		if again, err := parseEndpoint(got); err != nil || again != got {
			t.Errorf("%q becomes %q, then %q, %v", s, got, again, err)
		}
		req, err := http.NewRequest(http.MethodGet, got, nil)
		if err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if _, err := netip.ParseAddr(req.URL.Hostname()); err != nil {
			t.Errorf("%q would need DNS", got)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"7", "-7", "Sat, 21 Nov 2026 13:00:00 GMT", "99999999999999999999", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := retryAfter(s, time.Unix(1795266000, 0)); d < 0 || d > longestWait {
			t.Errorf("%q: %s", s, d)
		}
	})
}
