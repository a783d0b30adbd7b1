package config

import (
	"errors"
	"slices"
)

// Named is an interface's name with its position in the file, for errors that are found after parsing.
type Named struct {
	Name string
	At   string // file:line:column
}

// Egress is the section [egress]: where the traffic leaves that the host sends of itself.
type Egress struct {
	Interfaces []Named // in order of preference; none: it leaves by the primary interface
}

// Rank is an interface's place in the order of preference, -1 when it has none.
func (e Egress) Rank(iface string) int {
	return slices.IndexFunc(e.Interfaces, func(n Named) bool { return n.Name == iface })
}

// maxEgress bounds the list of candidates; an instance has 15 interfaces on EC2 and 8 on Azure.
const maxEgress = 16

// table is a section that there is once, because it is for the host and not for an interface.
type table struct {
	name  string
	keys  []entry[func(*Config)]
	need  []string               // keys without which it says nothing
	check func(*reader, *Config) // of several keys together; nil: nothing
	given map[string]bool        // keys that stand in the file, be they bad ones
	at    int                    // of its header
}

// tables are the sections of the host. A new one is one more of these and its field of Config.
func tables() []*table {
	return []*table{{name: "egress", need: []string{"interface"}, keys: []entry[func(*Config)]{
		{"interface", `an interface name, such as "eth2", or a list of up to 16 of them in order of preference`, interfaceList},
	}}, natTable()}
}

// interfaceList reads one interface or several.
func interfaceList(v value) (func(*Config), error) {
	list, err := oneOrMore(v)
	if err != nil {
		return nil, err
	}
	if len(list) > maxEgress {
		return nil, errors.New("too many")
	}
	var ifaces []Named
	for _, item := range list {
		iface, err := namedInterface(item)
		if err == nil && slices.ContainsFunc(ifaces, func(n Named) bool { return n.Name == iface.Name }) {
			err = errors.New("it is in the list already")
		}
		if err != nil {
			return nil, in(v, item, err)
		}
		ifaces = append(ifaces, iface)
	}
	return func(c *Config) { c.Egress.Interfaces = ifaces }, nil
}

func namedInterface(v value) (Named, error) {
	if _, err := typed[string](v); err != nil {
		return Named{}, err
	}
	return Named{v.text, v.place(v.at)}, checkName(v.text)
}

// oneOrMore are the items of a list, or the value itself.
func oneOrMore(v value) ([]value, error) {
	list, ok := v.data.([]any)
	switch {
	case !ok:
		return []value{v}, nil
	case len(list) == 0:
		return nil, errors.New("an empty list")
	}
	return v.items, nil
}

// in says of a list which of its items is wrong.
func in(v, item value, err error) error {
	if len(v.items) == 0 {
		return err
	}
	return &itemError{item, err}
}

// itemError is a mistake in one item of a list.
type itemError struct {
	item value
	err  error
}

func (e *itemError) Error() string { return e.err.Error() }

// hostTable begins a section of the host, and reports whether there is one of this name.
func (r *reader) hostTable(k key, array bool) bool {
	i := slices.IndexFunc(r.tables, func(t *table) bool { return len(k.parts) == 1 && t.name == k.parts[0] })
	if i < 0 {
		return false
	}
	t := r.tables[i]
	switch {
	case t.given != nil:
		line, _ := position(r.doc, t.at)
		r.add(k.start, "there is a section [%s] already, on line %d", t.name, line)
		r.skip = true
		return true
	case array:
		r.add(k.start, "write this section with one bracket: [%s]", t.name)
	}
	t.given, t.at = map[string]bool{}, k.start
	r.table = t
	return true
}

// hostKey takes a key of a section of the host.
func (r *reader) hostKey(k expression) {
	e, ok := r.hostEntry(k.String())
	if !ok {
		r.unknownKey(k.key)
		return
	}
	r.table.given[e.name] = true
	if set, ok := accept(r, e, k); ok {
		set(&r.config)
	}
}

// hostEntry is the key of the section of the host that is being read.
func (r *reader) hostEntry(name string) (e entry[func(*Config)], ok bool) {
	if r.table == nil {
		return e, false
	}
	return find(r.table.keys, name)
}

// endTable checks a section of the host as a whole.
func (r *reader) endTable() {
	t := r.table
	if t == nil {
		return
	}
	defer func() { r.table = nil }()
	complete := true
	for _, name := range t.need {
		if !t.given[name] {
			e, _ := find(t.keys, name)
			r.add(t.at, "the section [%s] needs the key %s: %s", t.name, name, e.allowed)
			complete = false
		}
	}
	if complete && t.check != nil {
		t.check(r, &r.config)
	}
}
