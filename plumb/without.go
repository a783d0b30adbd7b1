package plumb

import (
	"slices"
	"strings"

	"ec2net/metadata"
)

// Keep is the state of an interface of which nothing is known yet: what is there stays, and the link is up.
func Keep(have Snapshot) State {
	out := have.State
	out.Link.Up = true
	return out
}

// Baseline is how an interface was before ec2net.
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

// Detached is the state of an interface that ec2net has left. before is how the interface was when ec2net first
// touched it; nil when nobody wrote that down: then the link's attributes stay, but for the group. The address
// that the host itself lives by stays, with its routes: the operator's own connection may hang on it.
func Detached(have Snapshot, before *Baseline) State {
	out := Bare(have, before)
	if out.Addrs, out.Routes = have.hosted(); len(out.Routes) > 0 {
		out.Link.Up, out.Link.MTU = have.Link.Up, have.Link.MTU
	}
	return out
}

// Bare is Detached, and takes also away what the host itself lives by.
func Bare(have Snapshot, before *Baseline) State {
	out := State{Name: have.Name, Index: have.Index, Link: have.Link, AltNames: have.AltNames, Groups: slices.Clone(have.Groups)}
	if out.Link.Group == Group {
		out.Link.Group = 0
	}
	if marks(have.State) {
		out.Link.SrcValidMark = before.validMark(have.State)
	}
	if before != nil {
		out.Link = before.link(have)
		out.AltNames = before.altNames(have.AltNames)
	}
	out.Link.Forwarding = before.forwarding(have)
	for i, g := range out.Groups {
		if g.Group == Group && !have.OthersManaged {
			out.Groups[i].Group = 0
		}
	}
	return out
}

// Released is Detached, but for the link, which stays as whoever has the interface now needs it.
func Released(have Snapshot, before *Baseline) State {
	kept := Baseline{Link: BaselineOf(have).Link}
	kept.Link.SrcValidMark = before.validMark(have.State)
	if before != nil {
		kept.AltNames, kept.Forwarding = before.AltNames, before.Forwarding
	}
	return Detached(have, &kept)
}

// LinkOnly is the state of an interface of which only the link is ours to set up: what else of ours is there, of an
// earlier configuration, goes, and the MTU of a lease of ours is given back.
func LinkOnly(have Snapshot, before *Baseline) State {
	out := Released(have, before)
	out.Link.Up = true
	out.Link.MTU = before.mtu(have)
	return out
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

// ourAltName: an id of the cloud's, or where the interface is plugged in.
func ourAltName(n string) bool {
	return metadata.IsAltName(n) || strings.HasPrefix(n, altDevicePrefix)
}
