package main

import (
	"strings"
	"testing"

	"ec2net/test/lab"
)

// The same on Azure, where only the primary's lease names a router: another interface that had its turn first has an
// address and no way out, and gives way.
func TestHostThatNobodyConfiguresOnAzure(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"eth1 eth2 eth3", "eth2 eth1 eth3"} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			c := unconfigured(t, lab.Config{Cloud: lab.Azure, RPFilter: 1})
			c.IMDS().Limit(0)
			var list []*kept
			for i, iface := range strings.Fields(order) {
				k := start(t, c, iface)
				list = append(list, k)
				if i == 0 && iface != "eth1" {
					k.logs(t, "nobody else configures eth2", "lease of 172.22.5.4")
				}
			}
			for _, k := range list {
				k.notify.await(t, "READY=1")
			}
			answersWithin(t, c, hang, lab.EIP1)
			answersWithin(t, c, hang, lab.EIP2)
			if def := ip(t, c, "-N route show default"); !strings.HasPrefix(def, "default via 172.22.5.65 dev eth1 proto 236 src 172.22.5.68 metric 512") {
				t.Errorf("the host's own traffic does not leave by the primary:\n%s", def)
			}
			eventually(t, hang, "nothing to do", func() bool {
				for _, k := range strings.Fields(order) {
					if out, status := on(t, c, "ec2net", "--cloud", "azure", "plan", k); status != exitOK || out != "" {
						return false
					}
				}
				return true
			})
			for _, k := range list {
				k.stop(t)
			}
		})
	}
}
