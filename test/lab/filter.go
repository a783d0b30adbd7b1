package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// filter is the part of the fabric that looks at packets: the source check and the elastic IPs. Its
// rules never change; the source check asks the routes, and the elastic IPs are two maps. It guards the
// fabric's own servers as well, and on Azure lends a public address to who has none.
type filter struct {
	conn   *nftables.Conn
	table  *nftables.Table
	arrive *nftables.Chain

	spoofed4, spoofed6 *nftables.Set // (interface, source) → packets dropped by the source check
	inward, outward    *nftables.Set // elastic IP → private address, and back
	noPublic           *nftables.Set // (interface, source) → packets to the internet without an elastic IP
	forwarding         *nftables.Set // interfaces without source check
	untranslated       *nftables.Set // addresses that are the internet's too
	together           *nftables.Set // pairs of interfaces in one network
	primaries          *nftables.Set // (interface, source) that may ask the fabric's own servers
	primaryPorts       *nftables.Set // interfaces that may ask them from any address
	astray4, astray6   *nftables.Set // (interface, source) → packets to those servers from others
}

// Registers: 8 to 11 are the four words of register 1, 12 and on those of register 2.
const (
	regKey    = 8 // an interface index, followed by an address
	regSource = 9
	regFib    = 1
	regFound  = 2
)

func newFilter(n *Node, cfg Config) (*filter, error) {
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithNetNSFd(int(n.NetNS())))
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	f := &filter{conn: conn}
	f.table = conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "vpc"})
	if err := errors.Join(f.addSets(), f.addChains(cfg), conn.Flush()); err != nil {
		return nil, errors.Join(fmt.Errorf("write the fabric's filter: %w", err), conn.CloseLasting())
	}
	return f, nil
}

func (f *filter) close() error { return f.conn.CloseLasting() }

func (f *filter) addSets() error {
	key4 := nftables.MustConcatSetType(nftables.TypeIFIndex, nftables.TypeIPAddr)
	key6 := nftables.MustConcatSetType(nftables.TypeIFIndex, nftables.TypeIP6Addr)
	counted := func(name string, key nftables.SetDatatype) *nftables.Set {
		return &nftables.Set{Table: f.table, Name: name, KeyType: key, Concatenation: true, Dynamic: true, Size: 4096}
	}
	mapped := func(name string) *nftables.Set {
		return &nftables.Set{Table: f.table, Name: name, IsMap: true, KeyType: nftables.TypeIPAddr, DataType: nftables.TypeIPAddr}
	}
	f.spoofed4, f.spoofed6 = counted("spoofed4", key4), counted("spoofed6", key6)
	f.noPublic = counted("nopublic", key4)
	f.inward, f.outward = mapped("inward"), mapped("outward")
	f.forwarding = &nftables.Set{Table: f.table, Name: "forwarding", KeyType: nftables.TypeIFIndex}
	f.primaries = &nftables.Set{Table: f.table, Name: "primaries", KeyType: key4, Concatenation: true}
	f.primaryPorts = &nftables.Set{Table: f.table, Name: "primaryports", KeyType: nftables.TypeIFIndex}
	f.astray4, f.astray6 = counted("astray4", key4), counted("astray6", key6)
	f.untranslated = &nftables.Set{Table: f.table, Name: "untranslated", KeyType: nftables.TypeIPAddr}
	f.together = &nftables.Set{
		Table: f.table, Name: "together", KeyType: nftables.MustConcatSetType(nftables.TypeIFIndex, nftables.TypeIFIndex), Concatenation: true,
	}
	var errs []error
	for i, s := range []*nftables.Set{f.spoofed4, f.spoofed6, f.noPublic, f.inward, f.outward, f.forwarding, f.primaries, f.primaryPorts, f.astray4, f.astray6, f.untranslated, f.together} {
		s.ID = uint32(i + 1) // else the library counts in a variable of its own, for all clouds at once
		errs = append(errs, f.conn.AddSet(s, nil))
	}
	return errors.Join(errs...)
}

func (f *filter) addChains(cfg Config) error {
	chain := func(name string, hook *nftables.ChainHook, priority nftables.ChainPriority) *nftables.Chain {
		return f.conn.AddChain(&nftables.Chain{
			Table: f.table, Name: name, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: &priority,
		})
	}
	rule := f.rule
	in := chain("arrive", nftables.ChainHookPrerouting, *nftables.ChainPriorityRaw)
	rule(in, fromInterface(), isIPv4(), noRouteBack(), f.checked(), countAndDrop(f.spoofed4, source4(regSource)))
	rule(in, fromInterface(), isIPv6(), notLinkLocal(), noRouteBack(), f.checked(), countAndDrop(f.spoofed6, source6(regSource)))
	f.arrive = in
	habits := cfg.Cloud.habits()
	f.addHostRules(habits)
	if habits.closed {
		f.addClosed(cfg.VPC)
	}
	if habits.mute {
		f.addMuteGateways(cfg.Subnets)
	}
	// To an elastic IP from inside: the internet gateway turns it round, and the source becomes public.
	rule(in, fromInterface(), isIPv4(), found(f.inward, dest4(regFound)), replace(f.outward, source4(regFib), 12))
	rule(in, isIPv4(), replace(f.inward, dest4(regFib), 16))
	for _, t := range quoting {
		rule(in, isIPv4(), icmpType(t), replaceInner(f.inward, innerSource))
	}

	through := chain("through", nftables.ChainHookForward, *nftables.ChainPriorityFilter)
	if habits.lends {
		f.addDefaultOutbound()
		rule(through, fromInterface(), toInternet(), isIPv4(), noRouteBack(), countAndDrop(f.noPublic, source4(regSource)))
	} else {
		rule(through, fromInterface(), toInternet(), isIPv4(), missing(f.outward, source4(regFound)), f.privateSource(), countAndDrop(f.noPublic, source4(regSource)))
	}
	if habits.apart {
		f.addApart(through)
	}

	out := chain("leave", nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource+1)
	rule(out, toInternet(), isIPv4(), replace(f.outward, source4(regFib), 12))
	for _, t := range quoting {
		rule(out, toInternet(), isIPv4(), icmpType(t), replaceInner(f.outward, innerDest))
	}
	return nil
}

func (f *filter) rule(c *nftables.Chain, parts ...[]expr.Any) {
	f.conn.AddRule(&nftables.Rule{Table: f.table, Chain: c, Exprs: slices.Concat(parts...)})
}

// checked matches packets of interfaces that have the source check.
func (f *filter) checked() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIF, Register: regFib},
		&expr.Lookup{SourceRegister: regFib, Invert: true, SetName: f.forwarding.Name, SetID: f.forwarding.ID},
	}
}

// forward takes the source check from an interface, or gives it back.
func (f *filter) forward(index int, on bool) error {
	if err := f.member(f.forwarding, native(uint32(index)), on); err != nil {
		return fmt.Errorf("switch the source check of interface %d: %w", index, err)
	}
	return nil
}

// member puts a key into a set, or takes it out if it is in it.
func (f *filter) member(set *nftables.Set, key []byte, in bool) error {
	change := f.conn.SetAddElements
	if !in {
		change = f.conn.SetDeleteElements
	}
	err := errors.Join(change(set, []nftables.SetElement{{Key: key}}), f.conn.Flush())
	if !in && errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// mapEIP maps an elastic IP to a private address and back.
func (f *filter) mapEIP(private, public netip.Addr) error {
	if !private.Is4() || !public.Is4() {
		return fmt.Errorf("elastic IP %s for %s: both must be IPv4", public, private)
	}
	in, out := pair(public, private), pair(private, public)
	err := errors.Join(f.conn.SetAddElements(f.inward, in), f.conn.SetAddElements(f.outward, out), f.conn.Flush())
	if err != nil {
		return fmt.Errorf("map elastic IP %s to %s: %w", public, private, err)
	}
	return nil
}

func (f *filter) unmap(private, public netip.Addr) error {
	in, out := pair(public, private), pair(private, public)
	err := errors.Join(f.conn.SetDeleteElements(f.inward, in), f.conn.SetDeleteElements(f.outward, out), f.conn.Flush())
	if err != nil {
		return fmt.Errorf("unmap elastic IP %s from %s: %w", public, private, err)
	}
	return nil
}

func pair(key, value netip.Addr) []nftables.SetElement {
	return []nftables.SetElement{{Key: key.AsSlice(), Val: value.AsSlice()}}
}

// drops reads a set of dropped packets.
func (f *filter) drops(set *nftables.Set) ([]drop, error) {
	elements, err := f.conn.GetSetElements(set)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", set.Name, err)
	}
	var out []drop
	for _, e := range elements {
		if len(e.Key) < 8 || e.Counter == nil {
			continue
		}
		a, _ := netip.AddrFromSlice(e.Key[4:])
		out = append(out, drop{int(binary.NativeEndian.Uint32(e.Key)), a, int(e.Counter.Packets)})
	}
	return out, nil
}

// drop is how many packets with a source were dropped that came by an interface.
type drop struct {
	index   int
	source  netip.Addr
	packets int
}

func native(v uint32) []byte { return binaryutil.NativeEndian.PutUint32(v) }

func equals(reg uint32, data []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: data}
}

func fromInterface() []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFGROUP, Register: regFib}, equals(regFib, native(portGroup))}
}

func toInternet() []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyOIF, Register: regFib}, equals(regFib, native(internetIndex))}
}

func family(proto byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: regFib}, equals(regFib, []byte{proto})}
}

func isIPv4() []expr.Any { return family(unix.NFPROTO_IPV4) }
func isIPv6() []expr.Any { return family(unix.NFPROTO_IPV6) }

// noRouteBack matches a packet whose source is not routed to the interface that it came by.
func noRouteBack() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: regFib, FlagSADDR: true, FlagIIF: true, ResultOIF: true},
		equals(regFib, native(0)),
	}
}

// notLinkLocal matches an IPv6 source outside fe80::/10, which every interface may use on its own link.
func notLinkLocal() []expr.Any {
	return []expr.Any{
		header(regFib, 8, 2),
		&expr.Bitwise{SourceRegister: regFib, DestRegister: regFib, Len: 2, Mask: []byte{0xff, 0xc0}, Xor: []byte{0, 0}},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: regFib, Data: []byte{0xfe, 0x80}},
	}
}

func header(reg, offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}
}

func source4(reg uint32) expr.Any { return header(reg, 12, 4) }
func dest4(reg uint32) expr.Any   { return header(reg, 16, 4) }
func source6(reg uint32) expr.Any { return header(reg, 8, 16) }

func countAndDrop(set *nftables.Set, source expr.Any) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIF, Register: regKey},
		source,
		&expr.Dynset{SrcRegKey: regKey, SetName: set.Name, SetID: set.ID, Operation: unix.NFT_DYNSET_OP_UPDATE, Exprs: []expr.Any{&expr.Counter{}}},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}
