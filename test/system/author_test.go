//go:build system

package system

import (
	"slices"
	"strings"
	"testing"

	"ec2net/doctor"
)

// inFront is a rule and a route of keepalived that come before those of ec2net.
const inFront = `global_defs {
	router_id test
}
vrrp_instance ens6 {
	state MASTER
	interface ens6
	virtual_router_id 51
	priority 100
	advert_int 1
	virtual_ipaddress {
		10.0.2.101/32 dev ens6
	}
	virtual_rules {
		from 10.0.2.37 lookup 177 preference 100
	}
	virtual_routes {
		192.0.2.0/24 via 10.0.0.1 dev eth0 table 177
	}
}
`

// The rule of a real program that decides before ec2net's own is told with that program's name.
func TestAuthorOfARule(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: crowded[suite], files: with(renamed(second()), map[string]string{"/etc/keepalived/keepalived.conf": inFront})})
		m.plug(second())
		m.active("ens6")
		m.active("eth0")
		m.run("systemctl", "start", "keepalived")
		const want = "100: from 10.0.2.37 lookup 177, written by keepalived (protocol 18);"
		m.until(hang, func() string {
			return "doctor names keepalived, but says " + m.try("ec2net", "--cloud", "ec2", "doctor")
		}, func() bool {
			return slices.ContainsFunc(m.findings(), func(f doctor.Finding) bool {
				return f.ID == "rule-in-front" && f.Interface == "ens6" && slices.ContainsFunc(f.Evidence, func(e string) bool { return strings.HasPrefix(e, want) })
			})
		})
	})
}
