package metadata

import (
	"bytes"
	"hash/fnv"
	"slices"
)

// Azure's document has no number of an interface that would stay: its list is not in an order that is
// promised, and closes up when an interface is removed.

// The numbers of Azure's interfaces: out of the way of what EC2's interfaces have in practice (100 × network card
// + device number), and of the interfaces that run on their lease alone (from 9000).
const (
	lowestNumber = 1000
	manyNumbers  = 8000
)

// Host is what a machine itself knows of its interfaces and Azure's document does not say. MACs are zero
// where nothing is known.
type Host struct {
	// Platform are the interfaces by which host routes lead to 168.63.129.16 and 169.254.169.254, one for each
	// such route. DHCP gives those routes to the first interface only (option 121).
	Platform []MAC
	// Leased is the interface whose lease names the platform's address (option 245), which only the first
	// interface's does.
	Leased MAC
	// Default is the interface by which the host leaves to 168.63.129.16 without such a route: by DHCP, only
	// the first interface is given a router.
	Default MAC
	// Numbers are N of the interfaces that ec2net has set up, as the kernel holds them.
	Numbers map[MAC]int
	// MTUs are those of the interfaces' links, in bytes.
	MTUs map[MAC]int
}

// How much each fact says of which interface is the first. Both host routes outweigh all else; one alone, which
// somebody may have written by hand, outweighs neither the other one and another fact, nor what is set up.
// The default route is what operators move first.
const (
	weightRoute   = 6
	weightLease   = 6
	weightSetUp   = 7
	weightDefault = 2
)

// first is the interface that the machine was started with, by the weight of all facts together; zero when there
// is none yet, or when two interfaces have the same. Neither a default route nor a lease counts for an interface that
// was found to be another one already.
func (h Host) first(all []MAC) MAC {
	weight := map[MAC]int{}
	for _, m := range h.Platform {
		weight[m] += weightRoute
	}
	for m, n := range h.Numbers {
		if n == 0 {
			weight[m] += weightSetUp
		}
	}
	if h.Numbers[h.Leased] == 0 {
		weight[h.Leased] += weightLease
	}
	if h.Numbers[h.Default] == 0 {
		weight[h.Default] += weightDefault
	}
	return heaviest(all, weight)
}

// heaviest is the one of all with the highest weight; zero when none has any, or several have the same.
func heaviest(all []MAC, weight map[MAC]int) (best MAC) {
	most := 0
	for _, m := range all {
		switch w := weight[m]; {
		case w > most:
			best, most = m, w
		case w == most && m != best:
			best = MAC{}
		}
	}
	return best
}

// certain are the facts that alone make an interface the first: all the host routes, by one interface.
func (h Host) certain() Host {
	if len(h.Platform) < 2 || len(slices.Compact(slices.Clone(h.Platform))) > 1 {
		return Host{}
	}
	return Host{Platform: h.Platform}
}

// numbers gives every interface but the first its number: 1000 to 8999, by a hash of the MAC, which is all
// that stays with an interface of Azure. So it is the same after a reboot, whatever the other interfaces do, and
// nothing has to be written down. Where two interfaces hash alike, which eight interfaces do one time in 280, the
// one that holds a number in the kernel keeps it, and of new ones the lower MAC goes first; the other
// takes the next number that is free.
func numbers(all []MAC, first MAC, held map[MAC]int) map[MAC]int {
	out, taken := map[MAC]int{}, map[int]bool{}
	for _, m := range sorted(all, held) {
		if n, ok := held[m]; ok && isNumber(n) && !taken[n] && m != first {
			out[m], taken[n] = n, true
		}
	}
	for _, m := range sorted(all, nil) {
		if _, ok := out[m]; ok || m == first {
			continue
		}
		n := hashed(m)
		for taken[n] {
			n = lowestNumber + (n-lowestNumber+1)%manyNumbers
		}
		out[m], taken[n] = n, true
	}
	return out
}

func isNumber(n int) bool { return n >= lowestNumber && n < lowestNumber+manyNumbers }

func hashed(m MAC) int {
	h := fnv.New32a()
	_, _ = h.Write(m[:])
	return lowestNumber + int(h.Sum32()%manyNumbers)
}

// sorted are the MACs of a list and a map in their own order.
func sorted(list []MAC, more map[MAC]int) []MAC {
	out := slices.Clone(list)
	for m := range more {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b MAC) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(out)
}
