package metadata

import (
	"net/netip"
	"slices"
)

// Settle is everything that either of two accounts of one interface grants, in the order of now, which is how a
// process begins with what an earlier one left. A key that could not be asked now keeps what it had before. ID,
// number, Primary and Problems are now's. When something goes, Doubts says.
//
// An account of another interface, or none (the zero Interface), as before leaves now as it is.
func Settle(before, now Interface) Interface {
	if before.MAC != now.MAC {
		return now
	}
	now = merged(before, now, either, either)
	if !now.Gateway4.IsValid() {
		now.Gateway4 = before.Gateway4
	}
	if !now.Gateway6.IsValid() {
		now.Gateway6 = before.Gateway6
	}
	return now
}

// Carry is now, with each key that could not be asked taken from before: the latest word on every
// key. An unavailable answer between two readings thus neither confirms nor interrupts them.
func Carry(before, now Interface) Interface {
	if before.MAC != now.MAC {
		return now
	}
	return merged(before, now, latest, latest)
}

type (
	addrList   = Answer[[]netip.Addr]
	prefixList = Answer[[]netip.Prefix]
)

// merged is now, with each list made of the two that the readings have.
func merged(before, now Interface, ofAddrs func(before, now addrList) addrList, ofPrefixes func(before, now prefixList) prefixList) Interface {
	now.Addrs4 = ofAddrs(before.Addrs4, now.Addrs4)
	now.Addrs6 = ofAddrs(before.Addrs6, now.Addrs6)
	now.Subnets4 = ofPrefixes(before.Subnets4, now.Subnets4)
	now.Subnets6 = ofPrefixes(before.Subnets6, now.Subnets6)
	now.Prefixes4 = ofPrefixes(before.Prefixes4, now.Prefixes4)
	now.Prefixes6 = ofPrefixes(before.Prefixes6, now.Prefixes6)
	return now
}

// latest is the answer of now, or where that key could not be asked, the one before.
func latest[T any](before, now Answer[T]) Answer[T] {
	if now.Status == Unavailable {
		return before
	}
	return now
}

// either is the union of two answers, now's values first. Nothing known and nothing granted is not
// the same as nothing granted: only a key that was asked can be Absent.
func either[T comparable](before, now Answer[[]T]) Answer[[]T] {
	now = latest(before, now)
	if before.Status != Present {
		return now
	}
	if now.Status != Present {
		return before
	}
	all := slices.Clone(now.Value)
	for _, v := range before.Value {
		if !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return Is(all)
}

// Same says that two readings are equal in everything but their Problems. The order counts: the
// first address is the primary one.
func Same(a, b Interface) bool {
	itself := a.MAC == b.MAC && a.ID == b.ID && a.Primary == b.Primary
	network := a.Gateway4 == b.Gateway4 && a.Gateway6 == b.Gateway6 && a.MTU == b.MTU
	numbers := a.NetworkCard == b.NetworkCard && a.DeviceNumber == b.DeviceNumber && a.Number == b.Number
	if !itself || !numbers || !network {
		return false
	}
	addrs := sameList(a.Addrs4, b.Addrs4) && sameList(a.Addrs6, b.Addrs6)
	subnets := sameList(a.Subnets4, b.Subnets4) && sameList(a.Subnets6, b.Subnets6)
	prefixes := sameList(a.Prefixes4, b.Prefixes4) && sameList(a.Prefixes6, b.Prefixes6)
	return addrs && subnets && prefixes
}

func sameList[T comparable](a, b Answer[[]T]) bool {
	return a.Status == b.Status && (a.Status != Present || slices.Equal(a.Value, b.Value))
}
