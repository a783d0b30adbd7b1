package main

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"regexp"
	"testing"
	"time"

	"ec2net/dhcp"
	"ec2net/plumb"
	"ec2net/state"
	"ec2net/test/lab"
)

// Every key of what the commands print as JSON is a lower-case word, or several with underscores; an empty list is
// [] wherever there may be one.
func TestJSONHasOneStyle(t *testing.T) {
	forwards := true
	whole := interfaceStatus{Record: state.Record{
		Baseline: &plumb.Baseline{Forwarding: &forwards}, Lease: &dhcp.Lease{Addr: netip.MustParsePrefix("10.0.2.37/24"), Router: addr("10.0.2.1"), MTU: 1500, Start: time.Unix(1, 0), Expires: time.Hour}, RolledBack: &state.Rollback{}, Egress: &state.Egress{}, Packets: true,
		Claimed: "-", LeftTo: "-",
	}, Drift: []string{}, Died: true, Table: 1, NAT: "-", Broken: true, Limited: true}
	for name, v := range map[string]any{"all": []interfaceStatus{whole}, "none": []interfaceStatus{{Drift: []string{}}}, "no interface": []interfaceStatus(nil)} {
		b, err := json.Marshal(filled(v))
		must(t, err)
		var out any
		must(t, json.Unmarshal(b, &out))
		checkStyle(t, name, out)
	}
	if whole.Peers != nil || whole.RolledBack.Why != nil {
		t.Error("what is printed was changed")
	}
}

var styled = regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`)

func checkStyle(t *testing.T, at string, v any) {
	t.Helper()
	switch v := v.(type) {
	case nil:
		t.Errorf("%s is null", at)
	case map[string]any:
		for k, x := range v {
			if !styled.MatchString(k) {
				t.Errorf("the key %s.%s", at, k)
			}
			checkStyle(t, at+"."+k, x)
		}
	case []any:
		for _, x := range v {
			checkStyle(t, at+"[]", x)
		}
	}
}

// The same of what a live host prints, and a record that is printed is one that can be read back.
func TestJSONOfTheCommands(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	ec2net(t, c, exitOK, "up", "eth1")
	for _, args := range [][]string{{"status", "--json"}, {"plan", "--json", "eth1"}, {"explain", "--json", "10.0.2.37", "192.0.2.1"}} {
		text := ec2net(t, c, exitOK, args...)
		var out any
		must(t, json.Unmarshal([]byte(text), &out))
		checkStyle(t, args[0], out)
	}
	text, _ := on(t, c, "ec2net", "--cloud", "ec2", "doctor", "--json")
	var out any
	must(t, json.Unmarshal([]byte(text), &out))
	checkStyle(t, "doctor", out)
	var list []interfaceStatus
	must(t, json.Unmarshal([]byte(ec2net(t, c, exitOK, "status", "--json", "eth1")), &list))
	if len(list) != 1 || !list[0].Canonical() || !reflect.DeepEqual(list[0].Interface.Addrs4.Value, lab.Eth1().Addrs4) {
		t.Errorf("read back: %+v", list)
	}
}
