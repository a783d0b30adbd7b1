package metadata

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// The MACs of the documents, which have them in upper case.
var (
	vnic0 = MAC{0x02, 0x00, 0x17, 0x05, 0xd1, 0xdb}
	vnic1 = MAC{0x02, 0x00, 0x17, 0x0c, 0x0f, 0x7a}
)

const ocid = "ocid1.vnic.oc1.phx.abyhqljtexample"

// vnicJSON is an element of the document with the keys that every one has, and more.
func vnicJSON(mac MAC, more string) string {
	return fmt.Sprintf(`{"vnicId":%q,"macAddr":%q,"vlanTag":8086%s}`, ocid, strings.ToUpper(mac.String()), more)
}

const keys4 = `,"privateIp":"10.0.2.37","subnetCidrBlock":"10.0.2.0/24","virtualRouterIp":"10.0.2.1"`

func primaryJSON() string {
	return vnicJSON(vnic0, `,"privateIp":"10.0.0.231","subnetCidrBlock":"10.0.0.0/24","virtualRouterIp":"10.0.0.1"`)
}

// attached1 is the second VNIC of the documents, changed.
func attached1(change func(*Interface)) Interface {
	i := Interface{
		MAC: vnic1, ID: ocid, Number: hashed(vnic1), MTU: 9000, Gateway4: addrs("10.0.2.1").Value[0],
		Addrs4: addrs("10.0.2.37"), Subnets4: prefixes("10.0.2.0/24"), Prefixes4: None[[]netip.Prefix](),
		Addrs6: None[[]netip.Addr](), Subnets6: None[[]netip.Prefix](), Prefixes6: None[[]netip.Prefix](),
	}
	change(&i)
	return i
}

// none4 takes the IPv4 half away.
func none4(i *Interface) {
	i.Addrs4, i.Subnets4, i.Gateway4 = None[[]netip.Addr](), None[[]netip.Prefix](), netip.Addr{}
}

// Documents as machines have them, and what becomes of the second VNIC.
func TestOCIDocuments(t *testing.T) {
	const six = `"ipv6Addresses":["2001:db8:c1:2::9","2001:db8:c1:2::10"],"ipv6SubnetCidrBlock":"2001:db8:c1:2::/64","ipv6VirtualRouterIp":"fe80::200:17ff:fe40:8972"`
	with6 := func(i *Interface) {
		i.Addrs6, i.Subnets6 = addrs("2001:db8:c1:2::9", "2001:db8:c1:2::10"), prefixes("2001:db8:c1:2::/64")
		i.Gateway6 = addrs("fe80::200:17ff:fe40:8972").Value[0]
	}
	two := func(more string) string { return "[" + primaryJSON() + "," + vnicJSON(vnic1, more) + "]" }
	for _, tt := range []struct {
		name     string
		doc      string
		want     Interface
		problems string // words of them, in their order
	}{
		{"two VNICs", two(keys4), attached1(func(*Interface) {}), ""},
		{"dual-stack", two(keys4 + "," + six), attached1(with6), ""},
		{"IPv6 alone, <null> for a block", two(`,"subnetCidrBlock":"\u003cnull\u003e",` + six), attached1(func(i *Interface) { none4(i); with6(i) }), ""},
		{"IPv6 alone, no keys of IPv4", two("," + six), attached1(func(i *Interface) { none4(i); with6(i) }), ""},
		{"IPv6 alone, <null> everywhere", two(`,"privateIp":"<null>","subnetCidrBlock":"<null>","virtualRouterIp":"<null>",` + six), attached1(func(i *Interface) { none4(i); with6(i) }), ""},
		{"no IPv6, <null> for it", two(keys4 + `,"ipv6Addresses":["<null>"],"ipv6SubnetCidrBlock":"<null>","ipv6VirtualRouterIp":"<null>"`), attached1(func(*Interface) {}), ""},
		{"no IPv6, null for it", two(keys4 + `,"ipv6Addresses":null,"ipv6SubnetCidrBlock":null,"ipv6VirtualRouterIp":null`), attached1(func(*Interface) {}), ""},
		{"IPv6 without a block", two(keys4 + `,"ipv6Addresses":["2001:db8:c1:2::9"]`),
			attached1(func(i *Interface) { i.Addrs6, i.Subnets6 = addrs("2001:db8:c1:2::9"), prefixes("2001:db8:c1:2::/64") }), ""},
		{"bare metal", two(keys4 + `,"nicIndex":1`), attached1(func(*Interface) {}), ""},
		{"host bits in the block, keys of a later version", two(`,"privateIp":"10.0.2.37","subnetCidrBlock":"10.0.2.37/24","virtualRouterIp":"10.0.2.1","privateIps":["10.0.2.37","10.0.2.38"],"x":{"y":[1]}`), attached1(func(*Interface) {}), ""},
		{"an element that is none", "[" + primaryJSON() + `,7,{"macAddr":"x"},null,` + vnicJSON(vnic1, keys4) + "]", attached1(func(*Interface) {}), ""},
		{"a gateway outside of everything", two(`,"privateIp":"10.0.2.37","subnetCidrBlock":"10.0.2.0/24","virtualRouterIp":"192.0.2.1"`),
			attached1(func(i *Interface) { i.Gateway4 = netip.Addr{} }), "virtualRouterIp: can be no gateway"},
		{"an address outside of the block", two(`,"privateIp":"192.0.2.7","subnetCidrBlock":"10.0.2.0/24","virtualRouterIp":"10.0.2.1"`),
			attached1(func(i *Interface) { i.Addrs4 = Answer[[]netip.Addr]{} }), "privateIp: outside of the interface's subnets"},
		{"everything for a block", two(`,"privateIp":"10.0.2.37","subnetCidrBlock":"0.0.0.0/0","virtualRouterIp":"10.0.2.1"`),
			attached1(func(i *Interface) { i.Subnets4 = Answer[[]netip.Prefix]{} }), "subnetCidrBlock: too large or too small"},
		{"a text for a list", two(keys4 + `,"ipv6Addresses":"2001:db8:c1:2::9"`), attached1(func(i *Interface) { i.Addrs6 = Answer[[]netip.Addr]{} }), "ipv6Addresses: not a list"},
		{"another id", "[" + primaryJSON() + "," + strings.Replace(vnicJSON(vnic1, keys4), ocid, "eth0; reboot", 1) + "]", attached1(func(i *Interface) { i.ID = "" }), "vnicId: no id of a VNIC"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := parseVNICs(tt.doc)
			must(t, err)
			if v.leading() != vnic0 {
				t.Fatalf("the primary is %s", v.leading())
			}
			v.first, v.mtu = vnic0, 9000
			v.numbers = numbers(v.macs(), v.first, nil)
			got, err := v.iface(vnic1)
			must(t, err)
			if !Same(got, tt.want) || got.MTU != tt.want.MTU || got.ID != tt.want.ID {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
			said := ""
			for _, p := range got.Problems {
				said += p.Error() + "; "
			}
			for _, words := range strings.Split(tt.problems, ": ") {
				if !strings.Contains(said, words) || (tt.problems == "") != (said == "") {
					t.Errorf("problems %q, want %q", said, tt.problems)
				}
			}
		})
	}
}

// fakeOCI serves one document, which a test may change while it runs. It is as strict as the real one.
type fakeOCI struct {
	*httptest.Server
	mu     sync.Mutex
	body   string
	status int
	host   Host
}

func newFakeOCI(t *testing.T) (*fakeOCI, *OCI) {
	t.Helper()
	f := &fakeOCI{
		body: "[" + primaryJSON() + "," + vnicJSON(vnic1, keys4) + "]", status: http.StatusOK,
		host: Host{MTUs: map[MAC]int{vnic0: 9000}},
	}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f, f.client(t)
}

func (f *fakeOCI) client(t *testing.T) *OCI {
	t.Helper()
	s, err := NewOCI(OCIOptions{Endpoint: f.URL, Timeout: time.Minute, Host: func() (Host, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.host, nil
	}})
	must(t, err)
	t.Cleanup(s.Close)
	return s
}

func (f *fakeOCI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.URL.Path != "/opc/v2/vnics/" || r.Header.Get("Authorization") != "Bearer Oracle" {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	w.WriteHeader(f.status)
	fmt.Fprint(w, f.body)
}

func (f *fakeOCI) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// What a reading ends in: a VNIC that is missing or has no address yet is waited for, and so is whatever the server
// does.
func TestOCIReads(t *testing.T) {
	f, s := newFakeOCI(t)
	got, err := s.Read(t.Context(), vnic1)
	if must(t, err); !Same(got, attached1(func(*Interface) {})) || got.MTU != 9000 || s.Primary() != vnic0 {
		t.Errorf("%+v, the primary is %s", got, s.Primary())
	}
	if got, err := s.Read(t.Context(), vnic0); err != nil || !got.Primary || got.N() != 0 || got.MTU != 0 {
		t.Errorf("the primary: %+v %v", got, err)
	}
	if others, err := s.Others(t.Context(), vnic0); err != nil || len(others) != 1 || others[0].MAC != vnic1 {
		t.Errorf("the others: %+v %v", others, err)
	}
	for name, tt := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"missing":              {200, "[" + primaryJSON() + "]", ErrUnknownMAC},
		"without an address":   {200, "[" + primaryJSON() + "," + vnicJSON(vnic1, "") + "]", ErrNotReady},
		"nobody":               {200, "[]", ErrNotReady},
		"the primary missing":  {200, "[" + vnicJSON(vnic1, keys4) + "]", ErrNotReady},
		"another's document":   {200, `{"interface":[]}`, ErrUnavailable},
		"cut":                  {200, "[" + primaryJSON() + `,{"vnicId":"oc`, ErrUnavailable},
		"a page":               {200, "<html>", ErrUnavailable},
		"nothing":              {200, "", ErrUnavailable},
		"it may be the odd":    {200, "[" + primaryJSON() + `,{"macAddr":"?"}]`, ErrUnavailable},
		"not found, so far":    {404, "", ErrUnavailable},
		"too many":             {429, "", ErrUnavailable},
		"not available":        {503, "", ErrUnavailable},
		"refused":              {403, "", ErrDisabled},
		"a document with tail": {200, "[" + primaryJSON() + "]x", ErrUnavailable},
	} {
		f.set(func() { f.status, f.body = tt.status, tt.body })
		if _, err := s.Read(t.Context(), vnic1); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// The primary is the first of the list, and stays what it was in whatever order the list is: for a process, and for the
// next one, by what is set up.
func TestOCIPrimary(t *testing.T) {
	f, s := newFakeOCI(t)
	reversed := "[" + vnicJSON(vnic1, keys4) + "," + primaryJSON() + "]"
	first := func(s *OCI, want MAC) {
		t.Helper()
		if got, _, err := s.Interfaces(t.Context()); err != nil || got != want {
			t.Errorf("the primary is %s, want %s: %v", got, want, err)
		}
	}
	first(s, vnic0)
	f.set(func() { f.body = reversed })
	first(s, vnic0)
	first(f.client(t), vnic1)
	f.set(func() { f.host.Numbers = map[MAC]int{vnic0: 0, vnic1: 1234} })
	first(f.client(t), vnic0)
	f.set(func() { f.host.Numbers, f.body = nil, `[{"macAddr":"?"},`+vnicJSON(vnic1, keys4)+"]" })
	if _, _, err := f.client(t).Interfaces(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a list that begins with nothing: %v", err)
	}
}

// Whatever the document is, what is made of it is canonical.
func FuzzOCIDocument(f *testing.F) {
	f.Add("[" + primaryJSON() + "," + vnicJSON(vnic1, keys4) + "]")
	f.Add(`[{"macAddr":"02:00:17:05:D1:DB","ipv6Addresses":["2001:db8::1","<null>"],"subnetCidrBlock":"<null>"},null]`)
	f.Fuzz(func(t *testing.T, body string) {
		v, err := parseVNICs(body)
		if err != nil {
			return
		}
		v.first = v.leading()
		v.numbers = numbers(v.macs(), v.first, nil)
		for _, m := range v.macs() {
			if i, err := v.iface(m); err == nil && !i.Canonical() {
				t.Errorf("%s: %+v", body, i)
			}
		}
	})
}
