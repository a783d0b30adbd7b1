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

// owner is who else has the interface; empty: nobody. What a container network has taken once is not taken
// back while the record lasts.
func (n *NIC) owner(s plumb.Snapshot) string {
	if n.iface.Manage != config.Full {
		return ""
	}
	n.record.Claimed = cmp.Or(n.record.Claimed, s.Claimed)
	return cmp.Or(n.record.Claimed, managedBy(os.DirFS("/"), s.Index))
}

// OwnedByOther reports whether somebody else has the interface, and no section of the configuration insists on it.
func (n *NIC) OwnedByOther(s plumb.Snapshot) bool {
	insists, certain := n.config.Insists(n.keys)
	if n.record.LeftTo == "" && certain && !insists {
		n.record.LeftTo = n.owner(s)
	}
	return n.record.LeftTo != ""
}

// undecided reports whether whether the interface is ours at all hangs on what the metadata will say.
func (a *Agent) undecided() bool {
	_, certain := a.config.Insists(a.keys)
	return a.config.NeedsMetadata(a.keys) || (!certain && a.owner(a.snap) != "")
}

// releaseToOwner takes off what is ours of an interface that somebody else has, and says so once.
func (a *Agent) releaseToOwner(ctx context.Context) error {
	r := a.reconcile(ctx)
	a.announce(r.Done)
	a.reportOwner()
	return r.Err()
}

// reportOwner says and records that the interface is somebody else's.
func (a *Agent) reportOwner() {
	a.check.close()
	a.log.Infof("%s; to have ec2net manage it, set manage = true in an [[interface]] section", a.text())
	a.saveRecord()
}
