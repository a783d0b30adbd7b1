package agent

import (
	"testing"

	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
)

// Where DHCP serves the primary alone, a secondary interface asks only until the metadata says that it is one.
func TestNoDHCPOnSecondaries(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		what    string
		cloud   metadata.Cloud
		granted metadata.Interface
		want    string
	}{
		{"not known yet", metadata.CloudOCI, metadata.Interface{}, native},
		{"a secondary", metadata.CloudOCI, metadata.Interface{MAC: metadata.MAC{2}, Number: 1000}, "off"},
		{"a secondary elsewhere", metadata.CloudEC2, metadata.Interface{MAC: metadata.MAC{2}, DeviceNumber: 1}, native},
	} {
		stopped := false
		a := &Agent{NIC: NIC{where: tt.cloud, iface: config.Default().Defaults, config: config.Default(), snap: plumb.Snapshot{State: plumb.State{Name: "none0"}}}}
		a.leases, a.lease, a.dhcpOwner, a.settled = newLeases(), &dhcp.Lease{}, native, tt.granted
		a.leases.quit = func() { stopped = true }
		a.decideDHCP()
		if a.dhcpOwner != tt.want || stopped != (tt.want == "off") || (a.lease == nil) != stopped {
			t.Errorf("%s: %q has the lease, our client was stopped: %v", tt.what, a.dhcpOwner, stopped)
		}
	}
}
