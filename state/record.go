package state

import (
	"encoding/json"
	"net"
	"slices"
	"time"

	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
)

// Record is what is remembered of an interface. The kernel is the truth; this is what it cannot say. Its JSON is
// that of the files and of `ec2net status --json`.
type Record struct {
	Name       string             `json:"name"`
	Index      int                `json:"index"`
	MAC        metadata.MAC       `json:"mac"`
	Cloud      metadata.Cloud     `json:"cloud"`             // that the interface is of
	Numbers    []int              `json:"numbers"`           // of the tables and rules that are this interface's
	Packets    bool               `json:"packets,omitempty"` // there is, or is about to be, an nftables table of the interface's
	Peers      []metadata.MAC     `json:"peers"`             // the host's other cloud interfaces
	Baseline   *plumb.Baseline    `json:"before,omitempty"`  // how the interface was found
	Interface  metadata.Interface `json:"metadata"`          // what it grants
	ReadAt     time.Time          `json:"read_at"`           // last answer of the metadata
	AskedAt    time.Time          `json:"asked_at"`          // last reading of the metadata, whatever came of it
	Lease      *dhcp.Lease        `json:"lease,omitempty"`
	DHCP       string             `json:"dhcp"`              // who has the lease
	Hosts      bool               `json:"hosts"`             // nobody else configures the interface: the host itself lives by this lease
	Foreign    bool               `json:"foreign,omitempty"` // another program has given it an IPv4 address, now or once
	State      string             `json:"state"`             // one line for a person
	Phase      Phase              `json:"phase"`             // how far its set-up has got; see Enter
	Ready      bool               `json:"ready"`             // Phase.Managed
	Set        bool               `json:"set"`               // Phase.Settled
	InPart     bool               `json:"in_part"`           // Phase.InPart
	Repairs    int                `json:"repairs"`           // since the process began
	RolledBack *Rollback          `json:"rolled_back,omitempty"`
	Egress     *Egress            `json:"egress,omitempty"`
	Awaits     *Awaited           `json:"awaits,omitempty"`  // another program's address
	Primary    *Primary           `json:"primary,omitempty"` // what counts as the primary without the metadata, where default routes do not tell
	Claimed    string             `json:"taken,omitempty"`   // the container network that has taken the interface, now or once
	LeftTo     string             `json:"left_to,omitempty"` // whom the interface is left to
}

// Rollback is a change that was rolled back because it cut something off.
type Rollback struct {
	Why   []string  `json:"why"`
	Plan  []string  `json:"plan"`  // the change, an operation a line
	Until time.Time `json:"until"` // when it is tried again
}

// Awaited is the program whose address an interface waits for, and what shows that it will come.
type Awaited struct {
	Program string    `json:"program"`
	Heard   string    `json:"heard,omitempty"`   // of its DHCP on the wire: "DHCP message" or "ARP probe"
	HeardAt time.Time `json:"heard_at,omitzero"` // when
	Until   time.Time `json:"until"`             // then ec2net adds the address itself
}

// Primary is the interface that counts as the primary while the metadata says nothing, where several have default
// routes of equal metrics.
type Primary struct {
	Name     string   `json:"name,omitempty"` // "" where it is not known
	Evidence Evidence `json:"evidence"`
	Doubt    string   `json:"doubt,omitempty"` // why it is not known
}

// Evidence is what the primary interface is told by.
type Evidence string

// The kinds of evidence.
const (
	EvidenceNone        Evidence = ""
	EvidenceMetadata    Evidence = "metadata"    // they have named it, to this process or another one since the boot
	EvidenceRoutes      Evidence = "routes"      // main's best default route leads by it
	EvidenceConnections Evidence = "connections" // of several with equal routes, the one that open connections use
	EvidenceOrder       Evidence = "order"       // of several with equal routes, the first by slot and index
)

// parse reads the record of an interface. What no process of ours can have written is none.
func parse(name string, b []byte) (Record, bool) {
	var r Record
	if json.Unmarshal(b, &r) != nil || r.Name != name || !r.Canonical() {
		return Record{}, false
	}
	return r, true
}

const maxNumber = 9999 // of an interface, in preferences and tables

// Canonical reports whether every value is one that ec2net writes.
func (r Record) Canonical() bool {
	phase := r.Phase == "" || r.Phase.Known()
	lease := r.Lease == nil || r.Lease.Canonical()
	numbers := !slices.ContainsFunc(r.Numbers, func(n int) bool { return n < 0 || n > maxNumber })
	return phase && lease && numbers && r.Interface.Canonical()
}

// Degraded reports whether the interface is set up without the metadata.
func (r Record) Degraded() bool {
	return r.Ready && r.LeftTo == "" && r.Interface.MAC == (metadata.MAC{})
}

// Scope is what of the kernel belongs to the interface besides what its link tells.
func (r Record) Scope() plumb.Scope {
	return plumb.Scope{Numbers: r.Numbers, Packets: r.Packets, Peers: r.Peers, Forwarding: r.Baseline != nil && r.Baseline.Forwarding != nil}
}

// Table is the routing table that the interface's own traffic is looked up in; 0: there is none.
func (r Record) Table() uint32 {
	switch {
	case r.LeftTo != "" || !r.Ready:
		return 0
	case r.Degraded() && r.Hosts:
		return 0
	case r.Degraded():
		return plumb.Table(plumb.DegradedN(r.Index))
	case r.Interface.Primary && !slices.Contains(r.Numbers, 0):
		return 0
	}
	return plumb.Table(r.Interface.N())
}

// Present reports whether the interface is there, under whatever name.
func (r Record) Present() bool {
	i, err := net.InterfaceByIndex(r.Index)
	return err == nil && i.HardwareAddr.String() == r.MAC.String()
}

// Records are those of the host's interfaces. What depends on several interfaces is decided from one reading of them.
type Records []Record

// Primary is the record of the interface that the host was started with, when it was set up.
func (list Records) Primary() (Record, bool) {
	for _, r := range list {
		if r.Interface.Primary {
			return r, true
		}
	}
	return Record{}, false
}

// PrimaryMAC is the MAC of the primary interface as the metadata has named it, to whichever interface's process; zero:
// no record tells. The records of secondary interfaces name the primary as their peer.
func (list Records) PrimaryMAC() (mac metadata.MAC) {
	for _, r := range list {
		switch {
		case r.Interface.MAC == (metadata.MAC{}):
		case r.Interface.Primary:
			return r.Interface.MAC
		case len(r.Peers) == 1:
			mac = r.Peers[0]
		}
	}
	return mac
}

// Peers are the cloud interfaces of this host but one, as the records know them.
func (list Records) Peers(of metadata.MAC) (out []metadata.MAC) {
	for _, r := range list {
		for _, m := range r.Peers {
			if m != of {
				out = append(out, m)
			}
		}
	}
	return out
}
