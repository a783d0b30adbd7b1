package agent

import (
	"testing"

	"ec2net/metadata"
	"ec2net/plumb"
)

// Which of two devices with one MAC is the interface, by what each kernel and each driver tells.
func TestRole(t *testing.T) {
	t.Parallel()
	free, slave := plumb.Twin{Name: "other", Index: 7}, plumb.Twin{Name: "other", Index: 7, Master: 5}
	for _, tt := range []struct {
		name        string
		own, others string // drivers
		master      int
		twin        *plumb.Twin
		setUp       int // ifindex
		young       bool
		ec2, azure  role
	}{
		{"alone", "", "", 0, nil, 0, true, roleInterface, roleInterface},
		{"enslaved", "", "", 9, nil, 5, false, roleFunction, roleFunction},
		{"synthetic, beside a function", "hv_netvsc", "mlx5_core", 0, &free, 0, true, roleInterface, roleInterface},
		{"synthetic, its function enslaved", "hv_netvsc", "mlx5_core", 0, &slave, 0, true, roleInterface, roleInterface},
		{"a function, free", "mlx5_core", "hv_netvsc", 0, &free, 0, true, roleFunction, roleFunction},
		{"a function before its interface", "mlx4_core", "", 0, nil, 0, true, roleInterface, roleFunction},
		{"MANA alone, just come", "mana", "", 0, nil, 0, true, roleInterface, roleAmbiguous},
		{"MANA alone", "mana", "", 0, nil, 0, false, roleInterface, roleInterface},
		{"MANA alone, set up", "mana", "", 0, nil, 5, true, roleInterface, roleInterface},
		{"MANA with its interface", "mana", "hv_netvsc", 0, &free, 0, false, roleFunction, roleFunction},
		{"MANA set up, then its interface comes", "mana", "hv_netvsc", 0, &free, 5, false, roleFunction, roleFunction},
		{"two of no known driver", "", "", 0, &free, 0, false, roleAmbiguous, roleAmbiguous},
		{"this one is set up", "", "", 0, &free, 5, false, roleInterface, roleInterface},
		{"the other is set up", "", "", 0, &free, 7, false, roleFunction, roleFunction},
		{"the other is enslaved", "", "", 0, &slave, 0, false, roleInterface, roleInterface},
	} {
		s := plumb.Snapshot{State: plumb.State{Name: "eth1", Index: 5}, Master: tt.master}
		if tt.twin != nil {
			s.Twins = []plumb.Twin{*tt.twin}
		}
		driver := func(name string) string { return map[string]string{"eth1": tt.own, "other": tt.others}[name] }
		for where, want := range map[metadata.Cloud]role{metadata.CloudEC2: tt.ec2, metadata.CloudAzure: tt.azure} {
			got := roleOf(s, where.Traits().Twins, tt.young, driver, func(index int) bool { return index == tt.setUp })
			if got != want {
				t.Errorf("%s on %s: %d, want %d", tt.name, where, got, want)
			}
		}
	}
}
