package plumb

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"ec2net/metadata"
)

// TestTwins: devices with an interface's MAC, and which of those with a peer's MAC is the peer.
func TestTwins(t *testing.T) {
	for _, tt := range []struct {
		name, commands string
		twins          []string // of eth1
		peers          []string // of eth1, whose only peer is eth0
	}{
		{"alone", "", nil, []string{"eth0"}},
		{"a function of the interface", "link add vf0 address 02:00:00:00:00:11 type veth peer name pf0\n", []string{"vf0"}, []string{"eth0"}},
		{"enslaved", "link add vf0 address 02:00:00:00:00:11 type veth peer name pf0\nlink add br0 type bridge\nlink set vf0 master br0\n", []string{"vf0 enslaved"}, []string{"eth0"}},
		{"a macvlan on the interface", "link set eth1 up\nlink add link eth1 name mv0 address 02:00:00:00:00:11 type macvlan mode passthru\n", nil, []string{"eth0"}},
		{"a function of the peer", "link add vf0 address 02:00:00:00:00:10 type veth peer name pf0\n", nil, nil},
		{"of a peer that we know", "link add vf0 address 02:00:00:00:00:10 type veth peer name pf0\nlink set eth0 group 236\n", nil, []string{"eth0"}},
		{"enslaved, of the peer", "link add vf0 address 02:00:00:00:00:10 type veth peer name pf0\nlink add br0 type bridge\nlink set vf0 master br0\n", nil, []string{"eth0"}},
		{"a macvlan on the peer", "link add link eth0 name mv0 address 02:00:00:00:00:10 type macvlan mode passthru\n", nil, []string{"eth0"}},
		{"the peer below a bridge", "link add br0 address 02:00:00:00:00:10 type bridge\nlink set eth0 master br0\n", nil, []string{"br0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host(t)
			batch(t, tt.commands)
			l, err := Open("eth1")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			l.scope.Peers = []metadata.MAC{mac("02:00:00:00:00:10")}
			s, err := l.Read()
			if err != nil {
				t.Fatal(err)
			}
			var twins, peers []string
			for _, w := range s.Twins {
				twins = append(twins, w.Name+map[bool]string{true: " enslaved"}[w.Master != 0])
			}
			for _, g := range s.Groups {
				peers = append(peers, g.Name)
			}
			if d := cmp.Diff([][]string{tt.twins, tt.peers}, [][]string{twins, peers}); d != "" {
				t.Errorf("twins and peers (-want +got):\n%s", d)
			}
		})
	}
}
