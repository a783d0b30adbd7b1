package plumb

import (
	"slices"

	"ec2net/metadata"
)

// Scope is what decides, beside an interface itself, which of the kernel's objects a Link reads and takes for the
// interface's, and what Watch reports. It comes from what is on record: see state.Record.Scope.
type Scope struct {
	// Numbers are interface numbers whose rules and nftables tables belong to this interface, besides those that its
	// routes tell: rules outlive the interface, routes do not.
	Numbers []int
	// Packets says that the interface may have an nftables table. Else none is looked for.
	Packets bool
	// Peers are the MACs of the host's other cloud interfaces; their interface group is kept too.
	Peers []metadata.MAC
	// Forwarding says that the interface's setting of forwarding was changed. What it would be else is read then.
	Forwarding bool
	// Others has Watch report the rules of the host's other interfaces too.
	Others bool
}

// union is a list of its own, with what is in both.
func union(a, b []int) []int {
	out := slices.Clone(a)
	for _, n := range b {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}
