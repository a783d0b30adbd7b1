package plumb

import (
	"slices"
)

// Keep is the state of an interface of which nothing is known yet: what is there stays, and the link is up.
func Keep(have Snapshot) State {
	out := have.State
	out.Link.Up = true
	return out
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
