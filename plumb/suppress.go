package plumb

import (
	"net/netip"
)

// network is the length from which on a route of main leads to a network. What is shorter stands for the
// Internet, or for a part of it: a VPN that wants all traffic leaves the default route alone and writes
// parts that come before it. OpenVPN's redirect-gateway writes 0.0.0.0/1 and 128.0.0.0/1, in IPv6 ::/3,
// 2000::/4, 3000::/4 and fc00::/7; WireGuard's users write ::/1 and 8000::/1; and lists that leave the private
// ranges out ("exclude private IPs") have 0.0.0.0/5, 8.0.0.0/7, 32.0.0.0/3 and their like. They mean what the
// host sends of itself, and never the answers of a cloud's address, which the cloud takes from its own
// interface alone.
//
// The shortest networks that hosts have routes to are 10.0.0.0/8 and fd00::/8. Of fc00::/7 only that half may be
// used (RFC 4193, section 3.1), so that who means a network writes fd00::/8, while fc00::/7 is one of
// OpenVPN's parts; in a cloud where such addresses are the VPC's, it would take the answers to the other subnets. The
// parts of a list that are /8 and longer can not be told from networks.
//
// The kernel compares the longest match alone: a bridge's 172.17.0.0/16 beside 128.0.0.0/1 is found, and counts.
// wg-quick deletes whatever rule is like "table main suppress_prefixlength 0": with another length ours are not.
const network = 8

// Internet reports whether a route to p stands for the Internet, or for a part of it, rather than for a
// network that the host knows the way to.
func Internet(p netip.Prefix) bool { return p.Bits() < network }
