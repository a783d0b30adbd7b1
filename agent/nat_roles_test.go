package agent

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ec2net/config"
	"ec2net/plumb"
)

func TestNATRoles(t *testing.T) {
	prefix := netip.MustParsePrefix
	iface := func(name, subnet string) natInterface {
		return natInterface{name: name, managed: true, set: true, subnets: []netip.Prefix{prefix(subnet)}}
	}
	eth0, eth2, eth3 := iface("eth0", "172.22.5.0/26"), iface("eth2", "172.22.5.64/26"), iface("eth3", "172.22.5.128/26")
	eth0.primary = true
	docker, bare := natInterface{name: "docker0"}, natInterface{name: "eth4", managed: true}
	ifaces := []natInterface{eth0, eth2, eth3, docker, bare}
	conf := func(out, in string, from ...string) (c config.NAT) {
		c.Out, c.In = config.Named{Name: out, At: "f:1:1"}, config.Named{Name: in, At: "f:2:1"}
		for _, p := range from {
			c.From = append(c.From, config.Range{Prefix: prefix(p), At: "f:3:9"})
		}
		return c
	}
	whole := map[string]NATRole{
		"eth2": {out: []plumb.NAT{{From: prefix("172.22.5.128/26"), In: "eth3"}}}, "eth3": {in: []netip.Prefix{prefix("172.22.5.128/26")}},
	}
	for _, tt := range []struct {
		name    string
		conf    config.NAT
		roles   map[string]NATRole
		refused string
	}{
		{"nothing", config.NAT{}, nil, ""},
		{"seed 001", conf("eth2", "", "172.22.5.128/26"), whole, ""},
		{"a part of a subnet", conf("eth2", "", "172.22.5.160/28"), map[string]NATRole{
			"eth2": {out: []plumb.NAT{{From: prefix("172.22.5.160/28"), In: "eth3"}}}, "eth3": {in: []netip.Prefix{prefix("172.22.5.160/28")}},
		}, ""},
		{"from elsewhere", conf("eth2", "eth3", "10.9.0.0/16"), map[string]NATRole{
			"eth2": {out: []plumb.NAT{{From: prefix("10.9.0.0/16"), In: "eth3"}}}, "eth3": {in: []netip.Prefix{prefix("10.9.0.0/16")}},
		}, ""},
		{"one of two is refused", conf("eth2", "", "10.9.0.0/16", "172.22.5.128/26"), whole,
			"f:3:9: [nat] no interface that is set up has a subnet that contains 10.9.0.0/16: name the interface that it arrives by with the key in"},
		{"outside's own subnet", conf("eth2", "eth3", "172.22.5.0/24"), nil, "f:3:9: [nat] 172.22.5.0/24 overlaps 172.22.5.64/26, the subnet of eth2 itself"},
		{"the primary as outside", conf("eth0", "", "172.22.5.128/26"), nil, "f:1:1: [nat] eth0 is the primary interface, whose routes ec2net does not manage; name another interface"},
		{"the primary as inside", conf("eth2", "", "172.22.5.0/27"), map[string]NATRole{
			"eth2": {out: []plumb.NAT{{From: prefix("172.22.5.0/27"), In: "eth0"}}}, "eth0": {in: []netip.Prefix{prefix("172.22.5.0/27")}},
		}, ""},
		{"no such outside", conf("eth9", "", "172.22.5.128/26"), nil, "f:1:1: [nat] there is no network interface eth9 here"},
		{"no such inside", conf("eth2", "eth9", "172.22.5.128/26"), nil, "f:2:1: [nat] there is no network interface eth9 here"},
		{"a bridge", conf("docker0", "", "172.22.5.128/26"), nil, "f:1:1: [nat] docker0 is not managed, so it cannot forward traffic"},
		{"a bridge inside", conf("eth2", "docker0", "172.17.0.0/16"), nil, "f:2:1: [nat] docker0 is not managed, so it cannot forward traffic"},
		{"not set up", conf("eth4", "", "172.22.5.128/26"), nil, "f:1:1: [nat] eth4 is not set up yet"},
	} {
		roles, refused := natRoles(tt.conf, ifaces)
		if len(roles) != len(tt.roles) || (len(roles) > 0 && !cmp.Equal(tt.roles, roles, cmp.AllowUnexported(NATRole{}), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }))) {
			t.Errorf("%s: %+v, want %+v", tt.name, roles, tt.roles)
		}
		if got := text(refused); got != tt.refused {
			t.Errorf("%s: refused %q, want %q", tt.name, got, tt.refused)
		}
	}
}

func text(errs []error) string {
	var out []string
	for _, e := range errs {
		out = append(out, e.Error())
	}
	return strings.Join(out, "\n")
}
