package plumb

import (
	"encoding/json"
	"strconv"
	"strings"
)

// String is the operation in the syntax of ip(8) or nft(8), after a sign: + added, - removed, ~ changed.
func (o Op) String() string { return string(o.Verb) + " " + o.text() }

func (o Op) text() string {
	switch x := o.obj.(type) {
	case Addr:
		return x.text(o.dev)
	case Route:
		return x.text(o.dev)
	case Rule:
		return x.text()
	case packetTable:
		return x.text(o.dev)
	case altName:
		return "altname " + word(string(x)) + " dev " + word(o.dev)
	case linkUp:
		if x {
			return "link " + word(o.dev) + " up"
		}
		return "link " + word(o.dev) + " down"
	case linkMTU:
		return "link " + word(o.dev) + " mtu " + strconv.Itoa(int(x))
	case linkValidMark: // with slashes, because the name may hold dots
		return "sysctl net/ipv4/conf/" + word(o.dev) + "/src_valid_mark=" + u(boolean(bool(x)))
	case linkForward:
		return "sysctl net/ipv4/conf/" + word(o.dev) + "/forwarding=" + u(boolean(bool(x)))
	case linkGroup:
		return "link " + word(x.Name) + " group " + u(x.Group)
	}
	return ""
}

// MarshalJSON writes the operation as verb, kind of object and text.
func (o Op) MarshalJSON() ([]byte, error) {
	verb := map[Verb]string{Add: "add", Del: "delete", Set: "change"}[o.Verb]
	return json.Marshal(struct {
		Verb   string `json:"verb"`
		Object string `json:"object"`
		Text   string `json:"text"`
	}{verb, o.Kind().object(), o.text()})
}

// String is the plan, an operation a line.
func (p Plan) String() string {
	var b strings.Builder
	for _, o := range p {
		b.WriteString(o.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// line is the beginning of a plan, for an error.
func (p Plan) line() string {
	const most = 3
	var parts []string
	for _, o := range p[:min(len(p), most)] {
		parts = append(parts, o.String())
	}
	if more := len(p) - most; more > 0 {
		parts = append(parts, "and "+strconv.Itoa(more)+" more")
	}
	return strings.Join(parts, "; ")
}
