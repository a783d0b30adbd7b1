package plumb

import "slices"

// By what a snapshot shows that the host itself lives by an address that ec2net gave the interface.

// hostMetric is that of main's routes through the primary interface where nobody but ec2net configures it. They come
// before those of the host's other interfaces, from 10001 on, and before what systemd-networkd gives (1024), as the
// primary's did on hosts with amazon-ec2-net-utils, which had this one.
const hostMetric = 512

// Hosts reports whether ec2net gave the interface the address that the host itself lives by: by the route of its
// subnet, which stands as long as the address does.
func (s Snapshot) Hosts() bool {
	return slices.ContainsFunc(s.Routes, func(r Route) bool { return r.host() && !r.isDefault() })
}

// LeadsHost reports whether main's default route through the interface is ec2net's, for the host itself.
func (s Snapshot) LeadsHost() bool {
	return slices.ContainsFunc(s.Routes, func(r Route) bool { return r.host() && r.isDefault() })
}

// host: the route is one of those that an interface has by which the host itself lives.
func (r Route) host() bool {
	return r.Ours && r.Table == tableMain && r.Metric == hostMetric && r.Dst.Addr().Is4()
}

// hosted are the address and the routes that the host itself lives by.
func (s Snapshot) hosted() (addrs []Addr, routes []Route) {
	for _, r := range s.Routes {
		if r.host() {
			routes = append(routes, r)
		}
	}
	for _, a := range s.Addrs {
		if a.Ours && slices.ContainsFunc(routes, func(r Route) bool { return r.Src == a.Prefix.Addr() }) {
			addrs = append(addrs, a)
		}
	}
	return addrs, routes
}

// foreign4: another program gave the interface an IPv4 address.
func (s Snapshot) foreign4() bool {
	return slices.ContainsFunc(s.Addrs, Addr.Foreign4)
}

// Foreign4 reports whether another program has put the address there, an IPv4 one that is not link-local.
func (a Addr) Foreign4() bool {
	ip := a.Prefix.Addr()
	return !a.Ours && ip.Is4() && !ip.IsLinkLocalUnicast()
}
