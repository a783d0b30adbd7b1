// Package dhcp is a DHCPv4 client for one interface (RFC 2131), with conflict detection (RFC 5227).
//
// It never touches the kernel's configuration: it reports leases, and the caller decides what
// becomes of them. Of what a server offers only address, router, MTU and routes are kept.
package dhcp

import (
	"net/netip"
	"slices"
	"time"
)

// Infinite is the lease time of a lease that never ends (RFC 2131 section 3.3).
const Infinite = time.Duration(1<<63 - 1)

// Lease is what a server granted, checked and in canonical form.
type Lease struct {
	Addr    netip.Prefix  `json:"address"`  // the address with the length of its subnet (option 1)
	Router  netip.Addr    `json:"router"`   // on the link, where it lies outside of the subnet; invalid when the server named none that is usable (options 3 and 121)
	MTU     int           `json:"mtu"`      // bytes (option 26); 0 when the server gave none, or one outside 576…65535
	Routes  []Route       `json:"routes"`   // classless static routes without the default (option 121, RFC 3442)
	Server  netip.Addr    `json:"server"`   // server identifier (option 54)
	Wire    netip.Addr    `json:"platform"` // Azure's platform (option 245), which only the first interface's lease names; else invalid
	Start   time.Time     `json:"start"`    // when the request was sent that was acknowledged (RFC 2131 section 4.4.1)
	Renew   time.Duration `json:"renew"`    // T1 after Start
	Rebind  time.Duration `json:"rebind"`   // T2 after Start
	Expires time.Duration `json:"expires"`  // end of the lease after Start, or Infinite
}

// Route is a classless static route of a lease.
type Route struct {
	Dst netip.Prefix `json:"destination"`
	Via netip.Addr   `json:"via"` // 0.0.0.0: on the link
}

// Same says whether both leases ask the caller to configure the same things: address, router, MTU
// and routes. Times and server may differ, as they do after every renewal.
func (l Lease) Same(o Lease) bool {
	return l.Addr == o.Addr && l.Router == o.Router && l.MTU == o.MTU && slices.Equal(l.Routes, o.Routes)
}

// Canonical says whether the lease is one that a server could have granted. What comes from elsewhere,
// such as a file, is not believed otherwise.
func (l Lease) Canonical() bool {
	a := l.Addr.Addr()
	if !a.Is4() || l.Addr.Bits() <= 0 || (!a.IsGlobalUnicast() && !a.IsLinkLocalUnicast()) {
		return false
	}
	for _, r := range l.Routes {
		if !r.canonical(l.Addr) {
			return false
		}
	}
	router := !l.Router.IsValid() || gateway(l.Router, l.Addr)
	return router && (l.MTU == 0 || (l.MTU >= 576 && l.MTU <= 65535))
}

// canonical says whether a lease of the address addr could bring the route.
func (r Route) canonical(addr netip.Prefix) bool {
	if r.Dst != r.Dst.Masked() || !r.Dst.IsValid() || r.Dst.Bits() == 0 || unusable(r.Dst.Addr()) != "" {
		return false
	}
	onLink := r.Via.IsUnspecified() && r.Via.Is4()
	return onLink || gateway(r.Via, addr)
}

// Live says whether the lease holds at the wall-clock time now. A lease that starts in the future
// does not: the clock was changed, and nothing can be said of its age.
func (l Lease) Live(now time.Time) bool {
	age := now.Round(0).Sub(l.Start.Round(0)) // without the monotonic clock, which stops in suspend
	return l.Addr.IsValid() && age >= 0 && age < l.Expires
}
