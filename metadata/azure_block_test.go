package metadata

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// An entry of ipAddress is an address, or a block that is delegated to the interface.
func TestAzureBlocks(t *testing.T) {
	for _, tt := range []struct {
		name, entry  string
		six          bool
		addr, prefix string // what it is
		problem      string
	}{
		{name: "a block", entry: `{"privateIpAddress":"10.0.2.32/28"}`, prefix: "10.0.2.32/28"},
		{name: "its length apart", entry: `{"privateIpAddress":"10.0.2.32","privateIpAddressPrefixLength":28}`, prefix: "10.0.2.32/28"},
		{name: "as a text", entry: `{"privateIpAddress":"10.0.2.32","privateIPAddressPrefixLength":"28"}`, prefix: "10.0.2.32/28"},
		{name: "by the short name", entry: `{"privateIpAddress":"10.0.2.32","prefixLength":28}`, prefix: "10.0.2.32/28"},
		{name: "in both", entry: `{"privateIpAddress":"10.0.2.32/28","prefixLength":28}`, prefix: "10.0.2.32/28"},
		{name: "no length", entry: `{"privateIpAddress":"10.0.2.32","privateIpAddressPrefixLength":null}`, addr: "10.0.2.32"},
		{name: "an empty length", entry: `{"privateIpAddress":"10.0.2.32","prefixLength":""}`, addr: "10.0.2.32"},
		{name: "one address", entry: `{"privateIpAddress":"10.0.2.32/32"}`, addr: "10.0.2.32"},
		{name: "one address, its length apart", entry: `{"privateIpAddress":"10.0.2.32","prefixLength":32}`, addr: "10.0.2.32"},
		{name: "host bits", entry: `{"privateIpAddress":"10.0.2.33/28"}`, addr: "10.0.2.33"},
		{name: "the subnet's length", entry: `{"privateIpAddress":"10.0.2.33/24"}`, addr: "10.0.2.33"},
		{name: "the subnet itself", entry: `{"privateIpAddress":"10.0.2.0/24"}`, problem: "network or broadcast"},
		{name: "more than the subnet", entry: `{"privateIpAddress":"10.0.0.0/16"}`, problem: "a whole subnet"},
		{name: "of another subnet", entry: `{"privateIpAddress":"10.0.3.32/28"}`, problem: "outside"},
		{name: "no length at all", entry: `{"privateIpAddress":"10.0.2.32","prefixLength":"x"}`, problem: "is not a prefix length"},
		{name: "IPv6", entry: `{"privateIpAddress":"2001:db8:0:2:1::/80"}`, six: true, prefix: "2001:db8:0:2:1::/80"},
		{name: "IPv6, its length apart", entry: `{"privateIpAddress":"2001:db8:0:2:1::","privateIpAddressPrefixLength":80}`, six: true, prefix: "2001:db8:0:2:1::/80"},
		{name: "IPv6, one address", entry: `{"privateIpAddress":"2001:db8:0:2:1::/128"}`, six: true, addr: "2001:db8:0:2:1::"},
		{name: "IPv6, host bits", entry: `{"privateIpAddress":"2001:db8:0:2::9/80"}`, six: true, addr: "2001:db8:0:2::9"},
		{name: "IPv6, the subnet's length", entry: `{"privateIpAddress":"2001:db8:0:2::/64"}`, six: true, addr: "2001:db8:0:2::"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v4, v6 := `{"privateIpAddress":"10.0.2.4"}`, ""
			if tt.six {
				v6 = tt.entry
			} else {
				v4 += "," + tt.entry
			}
			n, err := parseNetwork(fmt.Sprintf(`{"interface":[{"macAddress":"020000000002","ipv4":{"ipAddress":[%s],"subnet":[{"address":"10.0.2.0","prefix":"24"}]},"ipv6":{"ipAddress":[%s]}}]}`, v4, v6))
			if err != nil {
				t.Fatal(err)
			}
			got := n.iface(n.ifaces[0].mac)
			addrs, prefixes := got.Addrs4.Value, got.Prefixes4.Value
			if tt.six {
				addrs, prefixes = got.Addrs6.Value, got.Prefixes6.Value
				if !slices.Contains(got.Subnets6.Value, netip.MustParsePrefix("2001:db8:0:2::/64")) {
					t.Errorf("subnets %v", got.Subnets6)
				}
			}
			if has := slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.String() == tt.addr }); (tt.addr != "" && !has) || (tt.addr == "" && len(addrs) > 1) {
				t.Errorf("addresses %v", addrs)
			}
			if has := fmt.Sprint(prefixes); (tt.prefix != "" && has != "["+tt.prefix+"]") || (tt.prefix == "" && len(prefixes) != 0) {
				t.Errorf("blocks %v", has)
			}
			if said := fmt.Sprint(got.Problems); !strings.Contains(said, tt.problem) || (tt.problem == "" && said != "[]") {
				t.Errorf("problems %s", said)
			}
		})
	}
}
