package agent

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"ec2net/config"
	"ec2net/plumb"
)

// ourName is what ID_NET_MANAGED_BY says of an interface that is ec2net's.
const ourName = "ec2net"

// managedBy is the program that udev's database names as the one that manages the interface; empty when it
// names nobody, or us (ID_NET_MANAGED_BY, which systemd-networkd and NetworkManager honour too).
func managedBy(root fs.FS, index int) string {
	name := UdevProperty(root, index, "ID_NET_MANAGED_BY")
	if name == "" || name == ourName {
		return ""
	}
	return fmt.Sprintf("%.60q (ID_NET_MANAGED_BY in udev's database)", name)
}

// UdevProperty is what udev's database says of an interface.
func UdevProperty(root fs.FS, index int, key string) string {
	f, err := root.Open(fmt.Sprintf("run/udev/data/n%d", index))
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, 1<<16))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "E:"+key+"="); ok {
			return value
		}
	}
	return ""
}

// claimant is who else has the interface; empty: nobody. What a container network has taken once is not taken
// back while the record lasts.
func (n *NIC) claimant(s plumb.Snapshot) string {
	if n.iface.Manage != config.Full {
		return ""
	}
	n.record.Taken = cmp.Or(n.record.Taken, s.Claimed)
	return cmp.Or(n.record.Taken, managedBy(os.DirFS("/"), s.Index))
}

// Yields: somebody else has the interface, and no section of the configuration insists on it.
func (n *NIC) Yields(s plumb.Snapshot) bool {
	insists, certain := n.config.Insists(n.keys)
	if n.record.Yielded == "" && certain && !insists {
		n.record.Yielded = n.claimant(s)
	}
	return n.record.Yielded != ""
}

// undecided: whether the interface is ours at all hangs on what the metadata will say.
func (a *Agent) undecided() bool {
	_, certain := a.config.Insists(a.keys)
	return a.config.NeedsMetadata(a.keys) || (!certain && a.claimant(a.snap) != "")
}

// giveUp takes off what is ours of an interface that somebody else has, and says so once.
func (a *Agent) giveUp(ctx context.Context) error {
	r := a.reconcile(ctx)
	a.announce(r.Done)
	a.left()
	return r.Err()
}

// left says and records that the interface is somebody else's.
func (a *Agent) left() {
	a.trial.close()
	a.log.Infof("%s; to have ec2net manage it, set manage = true in an [[interface]] section", a.text())
	a.saved()
}
