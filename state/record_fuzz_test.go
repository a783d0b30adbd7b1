package state

import (
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
)

// aRecord is what an interface leaves on disk.
func aRecord() Record {
	return Record{
		Name: "eth1", Index: 3, MAC: mac(0x11), Numbers: []int{1}, Peers: []metadata.MAC{mac(0x11)}, Baseline: &plumb.Baseline{AltNames: []string{"enp0s6"}},
		Interface: metadata.Interface{MAC: mac(0x11), ID: "eni-0a1", DeviceNumber: 1, Addrs4: metadata.Is([]netip.Addr{addr("10.0.2.37")}),
			Subnets4: metadata.Is([]netip.Prefix{prefix("10.0.2.0/24")}), Prefixes6: metadata.Is([]netip.Prefix{prefix("2001:db8::/80")})},
		Lease: &dhcp.Lease{Addr: prefix("10.0.2.37/24"), Router: addr("10.0.2.1"), MTU: 1500, Start: time.Unix(1, 0), Expires: time.Hour},
	}
}

// FuzzRecord: whatever lies in the state folder, a record of it can be worked with as if the metadata and
// the lease had said so: nothing is planned that is not ours to write.
func FuzzRecord(f *testing.F) {
	s := open(f)
	must(f, s.Save(aRecord()))
	whole, err := os.ReadFile(s.path("eth1", ".json"))
	must(f, err)
	text := string(whole)
	for _, b := range []string{text, text[:len(text)/2], "", "null", `{"name":"eth1"}`, `[]`, strings.ReplaceAll(text, "10.0.2.37", "::1"), strings.ReplaceAll(text, "10.0.2.0/24", "10.0.2.7/0"),
		strings.ReplaceAll(text, `"device_number": 1`, `"device_number": -99999`), strings.ReplaceAll(text, `"10.0.2.37"`, `""`), strings.Replace(text, "1\n", "4294967295\n", 1)} {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := parse("eth1", b)
		if !ok {
			return
		}
		for _, n := range r.Numbers {
			if n < 0 || n > 9999 {
				t.Errorf("number %d", n)
			}
		}
		snap := plumb.Snapshot{State: plumb.State{Name: "eth1", Index: 3}, MAC: r.MAC}
		state, _ := plumb.Want(plumb.Input{Interface: r.Interface, Lease: r.Lease, Have: snap, OwnAddress: true, MainTable: true, Prefixes: plumb.DelegateLocal})
		checkPlan(t, plumb.Diff(snap.State, state))
		checkPlan(t, plumb.Diff(state, plumb.Detached(snap, r.Baseline)))
		for _, rule := range state.Rules {
			if rule.Pref < 10000 || rule.Pref > 29999 || !rule.From.IsValid() || rule.From.Bits() == 0 {
				t.Errorf("%+v", rule)
			}
		}
		for _, route := range state.Routes {
			if route.Table != 254 && route.Table != 255 && (route.Table < 10000 || route.Table > 19999) {
				t.Errorf("%+v", route)
			}
		}
		if b, err := json.Marshal(r); err != nil {
			t.Error(err)
		} else if _, ok := parse("eth1", b); !ok {
			t.Errorf("it is not read back:\n%s", b)
		}
		_ = r.Lease != nil && r.Lease.Live(time.Now())
	})
}

func checkPlan(t *testing.T, p plumb.Plan) {
	t.Helper()
	for _, o := range p {
		if text := o.String(); strings.Contains(text, "invalid") || strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
			t.Errorf("planned: %q", text)
		}
	}
}
