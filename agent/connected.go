package agent

import (
	"net/netip"
	"slices"

	"ec2net/config"
	"ec2net/metadata"
	"ec2net/plumb"
)

// connected are the other ends of the host's open TCP connections, where a grant could make one of them an address of the
// host's: where a block of one address is granted, or every block is to be local. Otherwise nobody is asked for them. If the
// kernel cannot tell, the connectivity check is what remains.
func connected(granted metadata.Interface, c config.Interface) []netip.Addr {
	local := func(p netip.Prefix) bool { return p.IsSingleIP() || c.Prefixes == config.PrefixLocal }
	if c.Manage != config.Full || !slices.ContainsFunc(slices.Concat(granted.Prefixes4.Value, granted.Prefixes6.Value), local) {
		return nil
	}
	others, _ := plumb.Connected()
	return others
}
