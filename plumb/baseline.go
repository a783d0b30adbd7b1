package plumb

import (
	"slices"
	"strings"

	"ec2net/metadata"
)

// Baseline is how an interface was before ec2net, which is what it is given back to.
type Baseline struct {
	Link     LinkState `json:"link"`
	AltNames []string  `json:"altnames"`
	// Leased is the MTU that a lease of ours set last; 0: none did.
	Leased int `json:"leased_mtu,omitempty"`
	// Forwarding is what the interface's setting was before ec2net first changed it; nil: it has not.
	Forwarding *bool `json:"forwarding,omitempty"`
}

// BaselineOf is how an interface was before ec2net, as far as the interface itself still tells, where nobody wrote it down:
// what is ours by its mark was not there.
func BaselineOf(have Snapshot) *Baseline {
	b := &Baseline{Link: have.Link, AltNames: have.AltNames}
	if b.Link.Group == Group {
		b.Link.Group = 0
	}
	if natted(have.State) { // a host that forwards anyway goes on to do so
		b.Forwarding = new(bool)
	}
	if marks(have.State) {
		b.Link.SrcValidMark = (*Baseline)(nil).validMark(have.State)
	}
	return b
}

// Note brings up to date how the setting was that marks change, as long as there are none.
func (b *Baseline) Note(have Snapshot) {
	if b != nil && !marks(have.State) {
		b.Link.SrcValidMark = have.Link.SrcValidMark
	}
}

// validMark is how src_valid_mark was before marks needed it; the interface's table says so too.
func (b *Baseline) validMark(have State) bool {
	if b != nil {
		return b.Link.SrcValidMark
	}
	return slices.ContainsFunc(have.Packets, func(r PacketRule) bool { return r.Kind == ReplyByInterface && r.Was })
}

// mtu gives back the MTU that a lease of ours set. What somebody else has set since stays.
func (b *Baseline) mtu(have Snapshot) int {
	if b == nil || b.Leased == 0 || b.Leased != have.Link.MTU || b.Link.MTU == 0 {
		return have.Link.MTU
	}
	return b.Link.MTU
}

// link takes back what we set, and nothing that others set since: an interface that somebody's address or
// route needs stays up, and a group that is no longer ours stays as it is.
func (b Baseline) link(have Snapshot) LinkState {
	l := b.Link
	l.Up = have.Link.Up && (b.Link.Up || slices.ContainsFunc(have.Addrs, func(a Addr) bool {
		return !a.Ours && !a.Prefix.Addr().IsLinkLocalUnicast()
	}) || slices.ContainsFunc(have.Routes, func(r Route) bool {
		return !r.Ours && !r.Advertised && !r.Dst.Addr().IsLinkLocalUnicast() // those come with the link
	}))
	if have.Link.Group != Group {
		l.Group = have.Link.Group
	}
	if !marks(have.State) {
		l.SrcValidMark = have.Link.SrcValidMark
	}
	return l
}

// altNames are the interface's names without those that we gave it; udev gives some too.
func (b Baseline) altNames(have []string) (out []string) {
	for _, n := range have {
		if !ourAltName(n) || slices.Contains(b.AltNames, n) {
			out = append(out, n)
		}
	}
	return out
}

// forwarding gives the interface's setting back once it is not needed: before is what it was, and there is
// none as long as ec2net has not touched it. A host that forwards anyway goes on to do so.
func (b *Baseline) forwarding(have Snapshot) bool {
	if b == nil || b.Forwarding == nil {
		return have.Link.Forwarding
	}
	return *b.Forwarding || have.forwardsAll
}

// ourAltName: an id of the cloud's, or where the interface is plugged in.
func ourAltName(n string) bool {
	return metadata.IsAltName(n) || strings.HasPrefix(n, altDevicePrefix)
}

const altDevicePrefix = "device-number-"

// marks: the kernel holds what is only there for an interface's marks.
func marks(s State) bool {
	return slices.ContainsFunc(s.Rules, func(r Rule) bool { return r.Kind().Marked() }) ||
		slices.ContainsFunc(s.Packets, func(r PacketRule) bool { return r.Kind == ReplyByInterface })
}

// natted: the kernel holds rules for what the host passes on.
func natted(s State) bool {
	return slices.ContainsFunc(s.Rules, Rule.leadsPassed)
}
