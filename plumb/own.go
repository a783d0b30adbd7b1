package plumb

import (
	"slices"

	"golang.org/x/sys/unix"

	"ec2net/metadata"
)

// own learns which numbers are the interface's and which are other interfaces': those whose table leads by an
// interface. Of the interface are those that its routes tell, and of those that it was known by before, or that an
// interface of its name was, the ones that no other interface has come to hold. An interface that is set up has
// routes as long as it has rules. Where two lead by one table, as after two processes that began at the same moment,
// it is the lower index's.
func (l *Link) own(s *Snapshot) error {
	routed := s.routed()
	s.mine, s.held = map[int]bool{}, map[int]int{}
	for _, n := range append(slices.Clone(routed), l.scope.Numbers...) {
		s.mine[n] = true
	}
	return l.rt.marked(func(table uint32, a attrs) {
		n, out := int(table)-baseTable, int(a.u32(unix.RTA_OIF))
		if n < 0 || n > maxN || out == s.Index {
			return
		}
		here, twin := slices.Contains(routed, n), s.twin(out)
		if here && twin {
			return
		}
		if !here || (out < s.Index && !twin) {
			delete(s.mine, n)
		}
		if was, ok := s.held[n]; !twin && (!ok || out < was) {
			s.held[n] = out
		}
	})
}

// twin: the device has the interface's MAC, and what it holds is for the interface to take over.
func (s Snapshot) twin(index int) bool {
	return slices.ContainsFunc(s.Twins, func(t Twin) bool { return t.Index == index })
}

// Number is the number that the table and the rules of an interface go by, for what the metadata says of it; the zero
// Interface stands for one that runs on its lease alone. It is the metadata's unless another live interface of the
// host holds that one's table, as where network-card is not published yet and device-number alone is not unique (EC2:
// instances with several network cards), or where two MACs hash alike. Then it is a free one of the numbers that need
// no metadata.
func (s Snapshot) Number(iface metadata.Interface) int {
	n := iface.N()
	if iface.MAC == (metadata.MAC{}) {
		n = DegradedN(s.Index)
	}
	if iface.Primary || !s.taken(n) {
		return n
	}
	for i := range spareNumbers {
		if m := degradedN + (s.Index+i)%spareNumbers; !s.taken(m) {
			return m
		}
	}
	return n
}

const spareNumbers = 1000

// taken: another interface holds the number's table, and this one does not, or came to it at the same moment and has to
// give way.
func (s Snapshot) taken(n int) bool {
	other, held := s.held[n]
	return held && (other < s.Index || !slices.Contains(s.routed(), n))
}
