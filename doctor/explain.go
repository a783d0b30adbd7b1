package doctor

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"ec2net/plumb"
)

// Question is the packet to be explained.
type Question struct {
	Src, Dst netip.Addr
	In       string // device that it comes in by; empty: the host sends it, or the one that has Dst
	UID      uint32 // of the user who sends it
	Mark     uint32 // firewall mark of the packet, and of its answer
}

// ErrQuestion: the question makes no sense on this host.
var ErrQuestion = errors.New("cannot be explained")

// Leg is one direction of a conversation.
type Leg struct {
	Src     netip.Addr `json:"src"`
	Dst     netip.Addr `json:"dst"`
	In      string     `json:"in,omitempty"` // device that it comes in by; empty: the host sends it
	Steps   []Step     `json:"rules"`
	End     End        `json:"end"`
	By      []string   `json:"by"` // devices that it may leave by: one of them
	Via     string     `json:"via,omitempty"`
	Route   string     `json:"route,omitempty"`
	Table   string     `json:"table,omitempty"`
	Check   *Check     `json:"reverse_path,omitempty"` // of a packet that comes in
	Kernel  string     `json:"kernel"`                 // its own look-up
	Differs string     `json:"differs,omitempty"`      // where that is another

	path   Path
	packet Packet
}

// sent: the host itself sends the packet, and it leaves.
func (l Leg) sent() bool { return l.In == "" && l.End == Forward }

// Explanation is a packet's way and its answer's.
type Explanation struct {
	There    Leg      `json:"packet"`
	Back     *Leg     `json:"answer,omitempty"`
	Problems []string `json:"problems"` // why the two do not get together
	Notes    []string `json:"notes"`    // what was taken for granted
	Agrees   bool     `json:"kernel_agrees"`
	fib      FIB
}

// Explain walks a packet and its answer through the rules, and has the kernel confirm each (ask is Ask but
// in tests).
func Explain(f FIB, q Question, ask func(Packet) (Answer, error)) (Explanation, error) {
	p, err := f.packet(q)
	if err != nil {
		return Explanation{}, err
	}
	e := Explanation{fib: f}
	e.shared(q)
	if e.There, err = f.leg(p, ask); err != nil {
		return e, err
	}
	if back, ok := f.answerTo(p, e.There); ok {
		leg, err := f.leg(back, ask)
		if err != nil {
			return e, err
		}
		e.Back = &leg
	}
	e.judge()
	return e, nil
}

// shared says by which interface a packet is taken to come in that is sent to an address which several have.
func (e *Explanation) shared(q Question) {
	all := e.fib.owners(q.Dst)
	if len(e.fib.owners(q.Src)) > 0 || len(all) < 2 || q.In != "" {
		return
	}
	to, _ := e.fib.owner(q.Dst)
	why := "the first that the kernel lists"
	if by, ok := e.fib.granted(q.Dst); ok && by == to.Index {
		why = "to which the cloud grants it, according to ec2net's rule"
	}
	var others []string
	for _, index := range all {
		if index != to.Index {
			others = append(others, e.fib.name(index))
		}
	}
	e.Notes = append(e.Notes, fmt.Sprintf("%s is an address of %s, too; this assumes that the packet comes in by %s, %s (use --in for another)", q.Dst, strings.Join(others, " and "), to.Name, why))
}

// packet checks the question.
func (f FIB) packet(q Question) (Packet, error) {
	p := Packet{Src: q.Src, Dst: q.Dst, UID: q.UID, Mark: q.Mark}
	switch {
	case q.Src.Is4() != q.Dst.Is4():
		return p, fmt.Errorf("%w: %s and %s are of different families", ErrQuestion, q.Src, q.Dst)
	case q.Src.IsUnspecified() || q.Src.IsMulticast() || q.Src == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return p, fmt.Errorf("%w: no packet can come from %s", ErrQuestion, q.Src)
	case q.Dst.IsUnspecified():
		return p, fmt.Errorf("%w: no packet can go to %s", ErrQuestion, q.Dst)
	case q.Dst.IsMulticast() || q.Dst == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return p, fmt.Errorf("%w: %s is the address of many hosts, from which no answer comes", ErrQuestion, q.Dst)
	}
	if q.In != "" {
		l, ok := f.Named(q.In)
		if !ok {
			return p, fmt.Errorf("%w: there is no network device %q here", ErrQuestion, q.In)
		}
		return f.incoming(p, l), nil
	}
	if _, own := f.owner(q.Src); own {
		return p, nil
	}
	to, own := f.owner(q.Dst)
	if !own {
		return p, fmt.Errorf("%w: neither %s nor %s is an address of this host: name the interface that it comes in by (--in)", ErrQuestion, q.Src, q.Dst)
	}
	return f.incoming(p, to), nil
}

// incoming is a packet that comes in by a device: nobody's, as the kernel looks up with user 0 then.
func (f FIB) incoming(p Packet, l Link) Packet {
	p.In, p.VRF = l.Index, f.vrfOf(l)
	p.UID = 0
	return p
}

// forwards reports whether what comes in by the device for another host is passed on: for IPv4 the device's own setting counts,
// for IPv6 that of the host (net.ipv6.conf.all.forwarding).
func (l Link) forwards(dst netip.Addr) bool {
	if dst.Is6() {
		return l.Conf.Forwarding6
	}
	return l.Conf.Forwarding
}

// vrfOf is the ifindex of the VRF that a device is in (Documentation/networking/vrf.rst), or 0.
func (f FIB) vrfOf(l Link) int {
	if m := f.link(l.Master); m.Kind == "vrf" {
		return m.Index
	}
	return 0
}

// leg is one direction: the walk, the reverse path check of what comes in, and the kernel's own look-up, through ask.
func (f FIB) leg(p Packet, ask func(Packet) (Answer, error)) (Leg, error) {
	path := Walk(f, p)
	l := Leg{Src: p.Src, Dst: p.Dst, Steps: path.Steps, End: path.End, path: path, packet: p}
	for _, i := range path.by() {
		if path.End == Forward {
			l.By = append(l.By, f.name(i))
		}
	}
	if len(path.Hops) == 1 && path.Hops[0].Via.IsValid() {
		l.Via = path.Hops[0].Via.String()
	}
	if path.Table != 0 {
		l.Route, l.Table = f.text(path.Route), tableText(path.Table)
	}
	if p.In != 0 {
		l.In = f.name(p.In)
		if in := f.link(p.In); path.End == Forward && !in.forwards(p.Dst) {
			l.End = NotRouter // which the kernel finds before it checks the source
		}
		c := checkSource(f, p, forwardedTo(path))
		l.Check = &c
	}
	a, err := ask(p)
	if err != nil {
		return l, err
	}
	l.Kernel, l.Differs = f.answer(a), f.disagreement(l, a)
	return l, nil
}

// forwardedTo is the ifindex of the device that a packet is forwarded to; 0: it is not.
func forwardedTo(p Path) int {
	if p.End == Forward {
		return p.by()[0]
	}
	return 0
}

// disagreement compares with the kernel's answer, which for a packet that comes in holds the reverse path
// check too.
func (f FIB) disagreement(l Leg, a Answer) string {
	switch {
	case l.Check == nil, l.End == NotRouter && a.Errno == 0:
		return f.differs(l.path, a)
	case l.End == NotRouter:
		return ""
	case l.Check.Drops && !a.dropped() && (l.End == Forward || l.End == Local):
		return "the kernel lets it in: " + f.answer(a)
	case l.Check.Drops:
		return ""
	}
	return f.differs(l.path, a)
}

// answerTo is the packet that comes back. Of what the host sent by a cloud's interface, the cloud brings the
// answer to the interface that has the address.
func (f FIB) answerTo(p Packet, there Leg) (Packet, bool) {
	back := Packet{Src: p.Dst, Dst: p.Src, UID: p.UID, Mark: p.Mark}
	switch {
	case p.In != 0 && there.End == Local:
		back.UID = 0
		return back, true
	case there.End != Forward:
		return back, false
	case p.In != 0:
		return f.incoming(back, f.link(there.path.by()[0])), true
	}
	by := f.link(there.path.by()[0])
	if owner, ok := f.owner(p.Src); ok && f.cloudInterface(by) {
		by = owner
	}
	return f.incoming(back, by), true
}

// cloudInterface: the device leads to the cloud's network, where an address belongs to one interface: it is in our
// interface group, or a default route leads by it to a router.
func (f FIB) cloudInterface(l Link) bool {
	if l.Group == plumb.Group {
		return true
	}
	for _, r := range f.Routes {
		for _, h := range r.Hops {
			if r.Dst.Bits() == 0 && h.Index == l.Index && h.Via.IsValid() {
				return true
			}
		}
	}
	return false
}
