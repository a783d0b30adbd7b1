package metadata

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ec2net/test/testkit"
)

// fakeAzure serves one document, which a test may change while it runs. A fault takes the place of the
// answer. It is as strict as the real one: header, path and version.
type fakeAzure struct {
	*httptest.Server
	mu       sync.Mutex
	document string
	versions []string // empty: all are known
	fault    http.HandlerFunc
	slow     bool     // only the client's clock ends it
	asked    []string // versions, in their order
	host     Host
}

func newFakeAzure(t testing.TB, document string) *fakeAzure {
	f := &fakeAzure{document: document, host: Host{Platform: []MAC{primaryMAC}}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeAzure) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	version := r.URL.Query().Get("api-version")
	f.mu.Lock()
	f.asked = append(f.asked, version)
	fault, document, known := f.fault, f.document, f.versions
	f.mu.Unlock()
	switch {
	case fault != nil:
		fault(w, r)
	case r.Method != http.MethodGet || r.Header.Get("Metadata") != "true" || r.Header.Get("X-Forwarded-For") != "":
		http.Error(w, `{ "error": "Bad request. Required metadata header not specified" }`, http.StatusBadRequest)
	case r.URL.Path != "/metadata/instance/network":
		http.Error(w, `{ "error": "Not found" }`, http.StatusNotFound)
	case len(known) > 0 && !strings.Contains(strings.Join(known, " "), version):
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":"Bad request","newest-versions":["%s"]}`, strings.Join(known, `","`))
	default:
		fmt.Fprint(w, document)
	}
}

func (f *fakeAzure) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeAzure) client(t testing.TB) *Azure {
	t.Helper()
	s, err := NewAzure(AzureOptions{Endpoint: f.URL, Timeout: patient, Host: func() (Host, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.host, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.wire.rt.DialContext = new(net.Dialer).DialContext // without a limit of its own
	s.wire.limit = func(*http.Request) time.Duration {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.slow {
			return brief
		}
		return patient
	}
	t.Cleanup(s.Close)
	return s
}

func document(t testing.TB, name string) string {
	t.Helper()
	return testkit.Read(t, filepath.Join("testdata", "azure", name+".json"))
}

// said is an interface in one line: what each list says, "-" for absent, "?" for unavailable.
func said(i Interface) string {
	out := []string{answerText(i.Addrs4), answerText(i.Subnets4), answerText(i.Addrs6), answerText(i.Subnets6)}
	if i.Primary {
		out = append([]string{"primary"}, out...)
	}
	for _, p := range i.Problems {
		out = append(out, "! "+p.Error())
	}
	return strings.Join(out, " | ")
}

func answerText[T fmt.Stringer](a Answer[[]T]) string {
	if a.Status != Present {
		return map[Status]string{Absent: "-", Unavailable: "?"}[a.Status]
	}
	var words []string
	for _, v := range a.Value {
		words = append(words, v.String())
	}
	return strings.Join(words, " ")
}

// TestAzureDocuments reads the second interface of documents as they are, and as they were seen to be.
func TestAzureDocuments(t *testing.T) {
	iface := func(s string) string { return `{"interface":[{"macAddress":"020000000001"},` + s + `]}` }
	mac := `"macAddress":"020000000002"`
	v4 := `"ipv4":{"ipAddress":[{"privateIpAddress":"10.1.2.4","publicIpAddress":""}],"subnet":[{"address":"10.1.2.0","prefix":"24"}]}`
	bare := "10.1.2.4 | 10.1.2.0/24 | - | -"
	for _, tt := range []struct{ name, body, want string }{
		{"as Azure sends it", document(t, "three"), "10.1.2.4 10.1.2.5 10.1.3.7 | 10.1.2.0/24 10.1.3.0/26 | fd00:1:2::4 | fd00:1:2::/64"},
		{"no ipv6", iface(`{` + mac + `,` + v4 + `}`), bare},
		{"null ipv6", iface(`{` + mac + `,` + v4 + `,"ipv6":null}`), bare},
		{"extra fields", iface(`{"x":[{}],` + mac + `,` + v4 + `,"ipv6":{"ipAddress":[],"more":{"a":1}}}`), bare},
		{"colons", iface(`{"macAddress":"02:00:00:00:00:02",` + v4 + `}`), bare},
		{"dashes, upper case", iface(`{"MACADDRESS":"02-00-00-00-00-02",` + v4 + `}`), bare},
		{"dots", iface(`{"macAddress":"0200.0000.0002",` + v4 + `}`), bare},
		{"holes in the list of interfaces", iface(`null,{},null,{` + mac + `,` + v4 + `}`), bare},
		{"an object for a list", `{"interface":{"0":{"macAddress":"020000000001"},"7":{` + mac + `,` + v4 + `}}}`, bare},
		{"holes in the addresses", iface(`{` + mac + `,"ipv4":{"ipAddress":{"1":{"privateIpAddress":"10.1.2.4"},"3":null,"12":{"privateIpAddress":"10.1.2.9"}},"subnet":[null,{"address":"10.1.2.0","prefix":"24"}]}}`),
			"10.1.2.4 10.1.2.9 | 10.1.2.0/24 | - | -"},
		{"empty addresses", iface(`{` + mac + `,"ipv4":{"ipAddress":[{"privateIpAddress":""},{"privateIpAddress":"10.1.2.4"}],"subnet":[{"address":"10.1.2.0","prefix":24}]},"ipv6":{"ipAddress":[{"privateIpAddress":""}]}}`), bare},
		{"the MAC twice", iface(`{` + mac + `,` + v4 + `},{"macAddress":"02-00-00-00-00-02","ipv4":{"ipAddress":[{"privateIpAddress":"10.1.2.4"},{"privateIpAddress":"10.1.2.6"}]}}`),
			"10.1.2.4 10.1.2.6 | 10.1.2.0/24 | - | -"},
		{"host bits, an address twice", iface(`{` + mac + `,"ipv4":{"ipAddress":[{"privateIpAddress":"10.1.2.4"},{"privateIpAddress":"10.1.2.4"}],"subnet":[{"address":"10.1.2.77","prefix":"24"}]}}`), bare},
		{"ipv6.subnet named", iface(`{` + mac + `,` + v4 + `,"ipv6":{"ipAddress":[{"privateIpAddress":"2001:DB8:1:2::4"}],"subnet":[{"address":"2001:db8:1:2::","prefix":"64"}]}}`),
			"10.1.2.4 | 10.1.2.0/24 | 2001:db8:1:2::4 | 2001:db8:1:2::/64"},
		{"no subnet", iface(`{` + mac + `,"ipv4":{"ipAddress":[{"privateIpAddress":"10.1.2.4"}]}}`), "10.1.2.4 | ? | - | -"},
		{"no ipv4", iface(`{` + mac + `}`), "? | ? | - | - | ! " + errBare.Error()},
		{"no addresses", iface(`{` + mac + `,"ipv4":{"ipAddress":[],"subnet":[{"address":"10.1.2.0","prefix":"24"}]}}`), "? | 10.1.2.0/24 | - | - | ! " + errBare.Error()},
		{"ipv4 a list", iface(`{` + mac + `,"ipv4":[]}`), "? | ? | - | - | ! ipv4 is not what such a list has"},
		{"ipv6 a text", iface(`{` + mac + `,` + v4 + `,"ipv6":"none"}`), "10.1.2.4 | 10.1.2.0/24 | ? | ? | ! ipv6 is not what such a list has"},
		{"addresses as text", iface(`{` + mac + `,"ipv4":{"ipAddress":["10.1.2.4"],"subnet":[{"address":"10.1.2.0","prefix":"24"}]}}`), "? | ? | - | - | ! ipv4.ipAddress: is not what such a list has"},
		{"addresses a number", iface(`{` + mac + `,"ipv4":{"ipAddress":7}}`), "? | ? | - | - | ! ipv4.ipAddress: is not a list"},
		{"an address that is none", iface(`{` + mac + `,"ipv4":{"ipAddress":[{"privateIpAddress":"10.1.2.4"},{"privateIpAddress":"10.1.2.400"},{"privateIpAddress":"10.9.9.9"}],"subnet":[{"address":"10.1.2.0","prefix":"24"}]}}`),
			bare + ` | ! ipv4.ipAddress: "10.1.2.400" is not an address of this family | ! ipv4.ipAddress: "10.9.9.9" is outside of the interface's subnets`},
		{"a length that is none", iface(`{` + mac + `,"ipv4":{"ipAddress":[{"privateIpAddress":"10.1.2.4"}],"subnet":[{"address":"10.1.2.0","prefix":"255.255.255.0"}]}}`),
			"? | ? | - | - | ! ipv4.subnet: prefix \"\\\"255.255.255.0\\\"\" is not a prefix length"},
		{"a subnet too large", iface(`{` + mac + `,"ipv4":{"ipAddress":[{"privateIpAddress":"10.1.2.4"}],"subnet":[{"address":"0.0.0.0","prefix":"0"}]}}`),
			"10.1.2.4 | ? | - | - | ! ipv4.subnet: \"0.0.0.0/0\" is too large or too small a block"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := newFakeAzure(t, tt.body).client(t).Read(t.Context(), secondMAC)
			if s := said(got); err != nil || s != tt.want {
				t.Errorf("got  %s, %v\nwant %s", s, err, tt.want)
			}
			checkRefusals(t, got.Problems)
			if got.Number < lowestNumber || got.N() != got.Number || got.MAC != secondMAC {
				t.Errorf("number %d of %s", got.N(), got.MAC)
			}
		})
	}
}

// TestAzureRefused are documents that say nothing of the interface: none of them may be taken for "it has
// nothing".
func TestAzureRefused(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       error
		says       string
	}{
		{"another MAC", `{"interface":[{"macAddress":"020000000001"}]}`, ErrUnknownMAC, ""},
		{"no interfaces", `{"interface":[]}`, ErrNotReady, "no interface is listed yet"},
		{"only holes", `{"interface":[null,null]}`, ErrNotReady, "no interface is listed yet"},
		{"no interface", `{}`, ErrUnavailable, "not the document"},
		{"interface null", `{"interface":null}`, ErrNotReady, "no interface is listed yet"},
		{"null", `null`, ErrUnavailable, "not the document"},
		{"a list", `[]`, ErrUnavailable, "not the document"},
		{"a text", `"interface"`, ErrUnavailable, "not the document"},
		{"an error", `{"error":"Internal server error"}`, ErrUnavailable, "not the document"},
		{"cut", `{"interface":[{"macAddress":"020000000002"`, ErrUnavailable, "not the document"},
		{"two documents", `{"interface":[]}{}`, ErrUnavailable, "not the document"},
		{"interface a text", `{"interface":"none"}`, ErrUnavailable, "interface is not a list"},
		{"interface an object", `{"interface":{"a":1}}`, ErrUnavailable, "interface is not a list"},
		{"an interface that is a text", `{"interface":["020000000002"]}`, ErrUnavailable, "is not what such a list has"},
		{"a MAC that is a number", `{"interface":[{"macAddress":20000000002}]}`, ErrUnavailable, "is not what such a list has"},
		{"a MAC that is none", `{"interface":[{"macAddress":"0200000000zz"}]}`, ErrUnavailable, `macAddress: "0200000000zz" is not a MAC address`},
		{"a multicast MAC", `{"interface":[{"macAddress":"01005E000001"}]}`, ErrUnavailable, "can be no interface's"},
		{"65 interfaces", `{"interface":[` + strings.Repeat("{},", 64) + `{}]}`, ErrUnavailable, "65 interfaces are more than 64"},
		{"deep", `{"interface":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, ErrUnavailable, "not the document"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := newFakeAzure(t, tt.body).client(t).Read(t.Context(), secondMAC)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || len(err.Error()) > 600 {
				t.Errorf("%v, want %v with %q", err, tt.want, tt.says)
			}
		})
	}
}
