package metadata

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The MACs of Google's documents are 42:01 and the IPv4 address.
var (
	nic0 = MAC{0x42, 0x01, 10, 128, 0, 7}
	nic1 = MAC{0x42, 0x01, 10, 132, 0, 7}
)

// nicJSON is an element of the document with the keys that every one has, and more.
func nicJSON(mac MAC, ip, mask, gateway, more string) string {
	return fmt.Sprintf(`{"accessConfigs":[{"externalIp":"203.0.113.5","type":"ONE_TO_ONE_NAT"}],"dhcpv6Refresh":"0","dnsServers":["169.254.169.254"],`+
		`"mac":%q,"mtu":1460,"network":"projects/1/networks/x","ip":%q,"subnetmask":%q,"gateway":%q%s}`, mac, ip, mask, gateway, more)
}

func nic0JSON(more string) string {
	return nicJSON(nic0, "10.128.0.7", "255.255.240.0", "10.128.0.1", more)
}
func nic1JSON(more string) string {
	return nicJSON(nic1, "10.132.0.7", "255.255.240.0", "10.132.0.1", more)
}

// granted1 is nic1 of the documents, changed.
func granted1(change func(*Interface)) Interface {
	i := Interface{
		MAC: nic1, DeviceNumber: 1, MTU: 1460, Gateway4: addrs("10.132.0.1").Value[0],
		Addrs4: addrs("10.132.0.7"), Subnets4: prefixes("10.132.0.0/20"), Prefixes4: None[[]netip.Prefix](),
		Addrs6: None[[]netip.Addr](), Subnets6: None[[]netip.Prefix](), Prefixes6: None[[]netip.Prefix](),
	}
	change(&i)
	return i
}

// Documents as machines have them, and what becomes of nic1.
func TestGCEDocuments(t *testing.T) {
	for _, tt := range []struct {
		name     string
		doc      string
		want     Interface
		problems string // words of them, in their order
	}{
		{"two interfaces", "[" + nic0JSON("") + "," + nic1JSON("") + "]", granted1(func(*Interface) {}), ""},
		{"alias ranges of a secondary range, and single ones", "[" + nic0JSON("") + "," + nic1JSON(`,"ipAliases":["10.24.3.0/24","10.132.0.99/32","10.132.0.100"]`) + "]",
			granted1(func(i *Interface) { i.Prefixes4 = prefixes("10.24.3.0/24", "10.132.0.99/32", "10.132.0.100/32") }), ""},
		{"a load balancer's addresses, a target instance's", "[" + nic0JSON("") + "," + nic1JSON(`,"forwardedIps":["198.51.100.7","10.132.0.50"],"targetInstanceIps":["198.51.100.8"]`) + "]",
			granted1(func(i *Interface) { i.Prefixes4 = prefixes("198.51.100.7/32", "10.132.0.50/32", "198.51.100.8/32") }), ""},
		{"dual-stack", "[" + nic0JSON("") + "," + nic1JSON(`,"ipv6":["fd20:1:2:3:0:1::/96"],"ipv6s":["fd20:1:2:3:0:1:0:0"],"gatewayIpv6":"fe80::4001:aff:fe84:1","forwardedIpv6s":["2001:db8:1::/96"]`) + "]",
			granted1(func(i *Interface) {
				i.Addrs6, i.Subnets6 = addrs("fd20:1:2:3:0:1::"), prefixes("fd20:1:2:3:0:1::/96")
				i.Prefixes6, i.Gateway6 = prefixes("fd20:1:2:3:0:1::/96", "2001:db8:1::/96"), addrs("fe80::4001:aff:fe84:1").Value[0]
			}), ""},
		{"IPv6 alone", "[" + nic0JSON("") + `,{"mac":"` + nic1.String() + `","mtu":"8896","ipv6":["2001:db8:4::/96"],"gatewayIpv6":"fe80::1"}]`,
			granted1(func(i *Interface) {
				i.MTU, i.Gateway4, i.Addrs4, i.Subnets4 = 8896, netip.Addr{}, None[[]netip.Addr](), None[[]netip.Prefix]()
				i.Addrs6, i.Subnets6, i.Prefixes6 = addrs("2001:db8:4::"), prefixes("2001:db8:4::/96"), prefixes("2001:db8:4::/96")
				i.Gateway6 = addrs("fe80::1").Value[0]
			}), ""},
		{"an old document, without masks and MTU", `[{"mac":"` + nic0.String() + `","ip":"10.128.0.7","gateway":"10.128.0.1"},{"mac":"` + strings.ToUpper(nic1.String()) + `","ip":"10.132.0.7","gateway":"10.132.0.1","forwardedIps":[]}]`,
			granted1(func(i *Interface) { i.MTU, i.Subnets4 = 0, None[[]netip.Prefix]() }), ""},
		{"an empty ip beside IPv6", "[" + nic0JSON("") + `,{"mac":"` + nic1.String() + `","ip":"","subnetmask":"","ipv6s":["2001:db8:4:0:1::"]}]`,
			granted1(func(i *Interface) {
				i.MTU, i.Gateway4, i.Addrs4, i.Subnets4 = 0, netip.Addr{}, None[[]netip.Addr](), None[[]netip.Prefix]()
				i.Addrs6, i.Subnets6, i.Prefixes6 = addrs("2001:db8:4:0:1::"), prefixes("2001:db8:4:0:1::/96"), prefixes("2001:db8:4:0:1::/96")
			}), ""},
		{"keys of a later version", "[" + nic0JSON("") + "," + nic1JSON(`,"queueCount":8,"physicalIp":{"a":[1]},"ipAliases":null`) + "]", granted1(func(*Interface) {}), ""},
		{"alias ranges of everybody's", "[" + nic0JSON("") + "," + nic1JSON(`,"ipAliases":["10.128.0.64/26","0.0.0.0/0","169.254.169.254/32","10.132.0.0/16","fe80::/64","10.24.3.0/24"]`) + "]",
			granted1(func(i *Interface) { i.Prefixes4 = prefixes("10.24.3.0/24") }), "ipAliases: overlaps the subnet of another; ipAliases: too large; ipAliases: range that no interface; ipAliases: contains a whole subnet; ipAliases: not an address block"},
		{"a gateway outside of everything, a mask with holes, no MTU", "[" + nic0JSON("") + `,{"mac":"` + nic1.String() + `","ip":"10.132.0.7","subnetmask":"255.0.255.0","gateway":"fe80::1","mtu":-3}]`,
			granted1(func(i *Interface) {
				i.MTU, i.Gateway4, i.Subnets4 = 0, netip.Addr{}, Answer[[]netip.Prefix]{}
			}), "subnetmask: not a mask; gateway: no gateway; mtu: no MTU"},
		{"a gateway of another subnet", "[" + nic0JSON("") + "," + nicJSON(nic1, "10.132.0.7", "255.255.240.0", "10.128.0.1", "") + "]",
			granted1(func(i *Interface) { i.Gateway4 = netip.Addr{} }), "gateway: no gateway"},
		{"an IPv6 gateway that is not on the link", "[" + nic0JSON("") + "," + nic1JSON(`,"ipv6s":["2001:db8:4:0:1::"],"gatewayIpv6":"2001:db8:4:0:1::1"`) + "]",
			granted1(func(i *Interface) {
				i.Addrs6, i.Subnets6, i.Prefixes6 = addrs("2001:db8:4:0:1::"), prefixes("2001:db8:4:0:1::/96"), prefixes("2001:db8:4:0:1::/96")
			}), "gatewayIpv6: no gateway"},
		{"without masks, another interface's address and gateway", `[{"mac":"` + nic0.String() + `","ip":"10.128.0.7","gateway":"10.128.0.1"},` + nic1JSON(`,"ipAliases":["10.128.0.7"],"forwardedIps":["10.128.0.1","10.128.0.9"]`) + "]",
			granted1(func(i *Interface) { i.Prefixes4 = prefixes("10.128.0.9/32") }), "ipAliases: overlaps the subnet of another; forwardedIps: overlaps the subnet of another"},
		{"a range that another interface has, by its address alone", "[" + nic0JSON(`,"ipv6s":["2001:db8:3:0:1::"]`) + "," + nic1JSON(`,"ipv6s":["2001:db8:4:0:1::"],"forwardedIpv6s":["2001:db8:3:0:1:0:0:9","2001:db8:f::7"]`) + "]",
			granted1(func(i *Interface) {
				i.Addrs6, i.Subnets6 = addrs("2001:db8:4:0:1::"), prefixes("2001:db8:4:0:1::/96")
				i.Prefixes6 = prefixes("2001:db8:4:0:1::/96", "2001:db8:f::7/128")
			}), "forwardedIpv6s: overlaps the subnet of another"},
		{"lists that are none", "[" + nic0JSON("") + "," + nic1JSON(`,"ipAliases":"10.24.3.0/24","forwardedIps":["198.51.100.7"],"ipv6s":{"0":"x"}`) + "]",
			granted1(func(i *Interface) {
				i.Prefixes4, i.Addrs6, i.Subnets6, i.Prefixes6 = Answer[[]netip.Prefix]{}, Answer[[]netip.Addr]{}, Answer[[]netip.Prefix]{}, Answer[[]netip.Prefix]{}
			}), "ipAliases: not a list; ipv6s: not a list"},
		{"no address at all", "[" + nic0JSON("") + `,{"mac":"` + nic1.String() + `"}]`,
			granted1(func(i *Interface) {
				i.MTU, i.Gateway4, i.Addrs4, i.Subnets4 = 0, netip.Addr{}, Answer[[]netip.Addr]{}, None[[]netip.Prefix]()
			}), "neither an IPv4 nor an IPv6 address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, err := parseNICs(tt.doc)
			if err != nil || n.first() != nic0 || n.lists(nic1) != nil {
				t.Fatalf("%v of %v, first %s", err, n.macs(), n.first())
			}
			got := n.iface(nic1)
			if !Same(got, tt.want) || !got.Canonical() {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
			checkProblems(t, got.Problems, tt.problems)
			if first := n.iface(nic0); !first.Primary || first.N() != 0 || len(first.Problems) > 0 {
				t.Errorf("the first interface is %+v", first)
			}
		})
	}
}

// checkProblems holds each problem to the words "key: some words", which are parted by "; ".
func checkProblems(t *testing.T, got []error, want string) {
	t.Helper()
	words := strings.FieldsFunc(want, func(r rune) bool { return r == ';' })
	if len(got) != len(words) {
		t.Errorf("problems %v, want %q", got, want)
		return
	}
	for i, w := range words {
		key, text, both := strings.Cut(strings.TrimSpace(w), ": ")
		if !both {
			key, text = "", key
		}
		if s := got[i].Error(); !strings.HasPrefix(s, key) || !strings.Contains(s, text) {
			t.Errorf("problem %q, want %q", s, w)
		}
	}
}

// Documents that are not believed as a whole.
func TestGCERefused(t *testing.T) {
	for name, tt := range map[string]struct {
		doc  string
		want error
	}{
		"none":                     {`[]`, ErrNotReady},
		"another cloud's":          {`{"interface":[]}`, ErrUnavailable},
		"Oracle's":                 {`[{"vnicId":"ocid1.vnic.oc1..x","privateIp":"10.0.0.2","macAddr":"02:00:17:05:D1:DB"}]`, ErrUnavailable},
		"a list of texts":          {`["0/","1/"]`, ErrUnavailable},
		"cut short":                {"[" + nic0JSON("") + "," + nic1JSON("")[:40], ErrUnavailable},
		"the first has no MAC":     {`[{"ip":"10.128.0.7"},` + nic1JSON("") + "]", ErrUnavailable},
		"another one has no MAC":   {"[" + nic0JSON("") + `,{"ip":"10.132.0.7"}]`, ErrUnavailable},
		"it is listed as a number": {"[" + nic0JSON("") + `,7]`, ErrUnavailable},
		"it is not listed":         {"[" + nic0JSON("") + "]", ErrUnknownMAC},
		"more than a machine has":  {"[" + strings.Repeat(`{},`, maxInterfaces) + "{}]", ErrUnavailable},
	} {
		n, err := parseNICs(tt.doc)
		if err == nil {
			err = n.lists(nic1)
		}
		if !errors.Is(err, tt.want) || len(err.Error()) > 400 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fakeGCE serves one document, and is as strict as the real one.
type fakeGCE struct {
	*httptest.Server
	mu    sync.Mutex
	doc   string
	fault http.HandlerFunc
	mute  bool // the answer lacks the header
}

func newFakeGCE(t testing.TB, doc string) *fakeGCE {
	f := &fakeGCE{doc: doc}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeGCE) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	doc, fault, mute := f.doc, f.fault, f.mute
	f.mu.Unlock()
	if !mute {
		w.Header().Set("Metadata-Flavor", "Google")
	}
	switch {
	case fault != nil:
		fault(w, r)
	case r.Header.Get("Metadata-Flavor") != "Google" || r.Header.Get("X-Forwarded-For") != "":
		http.Error(w, "Missing Metadata-Flavor:Google header.", http.StatusForbidden)
	case r.Method != http.MethodGet || r.URL.Path != "/computeMetadata/v1/instance/network-interfaces/" || r.URL.RawQuery != "recursive=true":
		http.NotFound(w, r)
	default:
		fmt.Fprint(w, doc)
	}
}

func (f *fakeGCE) client(t testing.TB) *GCE {
	t.Helper()
	s, err := NewGCE(GCEOptions{Endpoint: f.URL, Timeout: patient})
	must(t, err)
	t.Cleanup(s.Close)
	return s
}

// A reading is one request, and what another server answers is not believed.
func TestGCE(t *testing.T) {
	f := newFakeGCE(t, "["+nic0JSON("")+","+nic1JSON("")+"]")
	s := f.client(t)
	if got := s.Primary(); got != (MAC{}) {
		t.Errorf("%s is the primary before a reading", got)
	}
	got, err := s.Read(t.Context(), nic1)
	if err != nil || !Same(got, granted1(func(*Interface) {})) || s.Requests() != 1 || s.Primary() != nic0 {
		t.Errorf("%+v, %v, after %d requests; the primary is %s", got, err, s.Requests(), s.Primary())
	}
	first, all, err := s.Interfaces(t.Context())
	if err != nil || first != nic0 || !slices.Equal(all, []MAC{nic0, nic1}) {
		t.Errorf("%s of %v, %v", first, all, err)
	}
	others, err := s.Others(t.Context(), nic1)
	if err != nil || len(others) != 1 || others[0].MAC != nic0 {
		t.Errorf("beside it there are %v, %v", others, err)
	}
	f.mute = true
	if _, err := s.Read(t.Context(), nic1); !errors.Is(err, errFlavor) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("without the header: %v", err)
	}
}

// A list that lacks an interface makes no other one the first, nor gives it another's number: not in a process that has
// read the whole of it, nor in a new one that finds the number in the kernel.
func TestGCEListWithAHole(t *testing.T) {
	f := newFakeGCE(t, "["+nic0JSON("")+","+nic1JSON("")+"]")
	s := f.client(t)
	_, err := s.Read(t.Context(), nic1)
	must(t, err)
	later, err := NewGCE(GCEOptions{Endpoint: f.URL, Timeout: patient, Host: func() (Host, error) {
		return Host{Numbers: map[MAC]int{nic1: 1, nic0: 9002}}, nil
	}})
	must(t, err)
	f.mu.Lock()
	f.doc = "[" + nic1JSON("") + "]"
	f.mu.Unlock()
	for _, c := range []*GCE{s, later} {
		if got, err := c.Read(t.Context(), nic1); !errors.Is(err, ErrNotReady) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if s.Primary() != nic0 {
		t.Errorf("%s is the primary", s.Primary())
	}
	f.mu.Lock()
	f.doc = "[" + nic0JSON("") + "," + nic1JSON("") + "]"
	f.mu.Unlock()
	for _, c := range []*GCE{s, later} {
		if got, err := c.Read(t.Context(), nic1); err != nil || got.N() != 1 {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// TestGCEFaults: every fault is one clear error, and the reading after it is whole.
func TestGCEFaults(t *testing.T) {
	for _, ft := range quickFaults() {
		t.Run(ft.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeGCE(t, "["+nic0JSON("")+","+nic1JSON("")+"]")
			s := f.client(t)
			f.fault = ft.do
			got, err := s.Read(t.Context(), nic1)
			if want := azureFault(ft); !errors.Is(err, want) || !Same(got, Interface{}) || len(err.Error()) > 400 {
				t.Errorf("%v, %v; want %v", got, err, want)
			}
			f.mu.Lock()
			f.fault = nil
			f.mu.Unlock()
			if again, err := s.Read(t.Context(), nic1); err != nil || len(again.Problems) > 0 {
				t.Errorf("after the fault: %v, %v", again, err)
			}
		})
	}
	f := newFakeGCE(t, "")
	f.fault = throttle
	_, err := f.client(t).Read(t.Context(), nic1)
	if wait := Backoff(0, err, 0); wait != 7*time.Second {
		t.Errorf("wait %s after %v", wait, err)
	}
}

// FuzzGCE: whatever the document is, an interface that comes of it holds canonical values only, and every refusal is a
// line.
func FuzzGCE(f *testing.F) {
	for _, s := range []string{"[" + nic0JSON("") + "," + nic1JSON(`,"ipAliases":["10.24.3.0/24"],"ipv6":["2001:db8::/96"]`) + "]", `[{"mac":"42:01:0a:80:00:07","ip":"10.0.0.1/33","subnetmask":"::"}]`, `[[]]`, `[null]`, "", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseNICs(s)
		if err != nil {
			checkRefusals(t, []error{err})
			return
		}
		checkRefusals(t, n.odd)
		seen := map[int]bool{}
		for _, m := range n.macs() {
			c := n.iface(m)
			checkRefusals(t, c.Problems)
			if !c.Canonical() || seen[c.N()] || c.Primary != (c.N() == 0) {
				t.Errorf("%+v", c)
			}
			seen[c.N()] = true
		}
	})
}
