package doctor

import (
	"testing"

	"ec2net/state"
)

// Under systemd the remedy is the unit: ec2net up would leave the interface to nobody.
func TestRemedyByUnit(t *testing.T) {
	t.Parallel()
	const eth0, eth1 = "ec2net-ifup@eth0.service", "ec2net-ifup@eth1.service"
	f := Facts{Primary: "eth0", Interfaces: []Interface{{Name: "eth0", Unit: eth0}}}
	c := Interface{Name: "eth1", Unit: eth1, Degraded: "degraded", RolledBack: []string{"the metadata"},
		Egress: fell(state.EgressBlocked, state.EgressUnprotected)}
	for _, tt := range []struct {
		found []Finding
		want  string
	}{
		{checkDegraded(f, c), "once the metadata answers: systemctl start " + eth1},
		{checkRolledBack(f, c), "remove the cause shown above; then systemctl start " + eth1},
		{checkEgress(f, c), "systemctl restart " + eth0 + "; then systemctl start " + eth1},
		{checkEgress(Facts{Primary: "eth0"}, c), "ec2net up eth0; then systemctl start " + eth1},
	} {
		if len(tt.found) != 1 || tt.found[0].Remedy != tt.want {
			t.Errorf("%+v, want the remedy %q", tt.found, tt.want)
		}
	}
}
