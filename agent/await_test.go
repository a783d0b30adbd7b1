package agent

import (
	"testing"
	"time"

	"ec2net/dhcp"
)

// How long another program is waited for.
func TestAwaitOwner(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	every, this := dhcp.Owner{Program: "dhcpcd", ForAll: true}, dhcp.Owner{Program: "dhclient"}
	sign := dhcp.Heard{At: start.Add(2 * time.Second), What: "DHCP message"}
	for name, tt := range map[string]struct {
		await awaitOwner
		want  time.Duration // after the start
	}{
		"it takes every interface, and the link has no carrier": {awaitOwner{owner: every}, ownerPatience},
		"and nobody asks":                       {awaitOwner{owner: every, since: start.Add(time.Second)}, time.Second + ownerSilence},
		"and somebody asks":                     {awaitOwner{owner: every, since: start, sign: sign}, ownerPatience},
		"and the carrier came late":             {awaitOwner{owner: every, since: start.Add(28 * time.Second)}, ownerPatience},
		"it has this one, and nobody asks":      {awaitOwner{owner: this, since: start}, ownerPatience},
		"it has this one, and nothing is heard": {awaitOwner{owner: this, deaf: true}, ownerPatience},
	} {
		if got := tt.await.until(start).Sub(start); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
