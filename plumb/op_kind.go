package plumb

// OpKind is what an operation is done with.
type OpKind uint8

// The kinds.
const (
	OpAddr       OpKind = iota + 1 // see Op.Addr
	OpRoute                        // see Op.Route
	OpRule                         // see Op.Rule
	OpPackets                      // the interface's nftables table, as a whole
	OpAltName                      // an alternative name
	OpUp                           // the link goes up or down, see Op.On
	OpMTU                          // the link's MTU
	OpGroup                        // the interface group of Op.Device, which may be another interface of the host
	OpValidMark                    // net.ipv4.conf.IF.src_valid_mark, see Op.On
	OpForwarding                   // net.ipv4.conf.IF.forwarding, see Op.On
)

// Kind is what the operation is done with; 0 of the zero Op.
func (o Op) Kind() OpKind {
	switch o.obj.(type) {
	case Addr:
		return OpAddr
	case Route:
		return OpRoute
	case Rule:
		return OpRule
	case packetTable:
		return OpPackets
	case altName:
		return OpAltName
	case linkUp:
		return OpUp
	case linkMTU:
		return OpMTU
	case linkGroup:
		return OpGroup
	case linkValidMark:
		return OpValidMark
	case linkForward:
		return OpForwarding
	}
	return 0
}

// Addr is the address of an OpAddr.
func (o Op) Addr() (a Addr, ok bool) {
	a, ok = o.obj.(Addr)
	return a, ok
}

// Route is the route of an OpRoute.
func (o Op) Route() (r Route, ok bool) {
	r, ok = o.obj.(Route)
	return r, ok
}

// Rule is the rule of an OpRule.
func (o Op) Rule() (r Rule, ok bool) {
	r, ok = o.obj.(Rule)
	return r, ok
}

// Device is the name of the interface that the operation changes; empty where it is not known, of what an interface that is
// gone has left.
func (o Op) Device() string {
	if g, ok := o.obj.(linkGroup); ok {
		return g.Name
	}
	return o.dev
}

// On is what an OpUp, an OpValidMark or an OpForwarding sets.
func (o Op) On() bool {
	switch x := o.obj.(type) {
	case linkUp:
		return bool(x)
	case linkValidMark:
		return bool(x)
	case linkForward:
		return bool(x)
	}
	return false
}

// object is the kind's name in JSON: of the command's object for ip(8), nft(8) or sysctl(8).
func (k OpKind) object() string {
	switch k {
	case OpAddr:
		return "addr"
	case OpRoute:
		return "route"
	case OpRule:
		return "rule"
	case OpPackets:
		return "table"
	case OpAltName:
		return "altname"
	case OpUp, OpMTU, OpGroup:
		return "link"
	case OpValidMark, OpForwarding:
		return "sysctl"
	}
	return ""
}
