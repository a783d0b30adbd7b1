package metadata

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// reading turns one interface's answers into an Interface. It asks nothing.
type reading struct {
	mac   MAC
	names map[string]bool // the keys that the interface lists
	first MAC             // of the first interface; zero while it is unknown
	facts facts
	got   map[string]answer
	iface Interface
}

// wanted names the keys that are worth a request: listed, not known for good, and not answered yet.
func (r *reading) wanted() []string {
	keys := r.numbering()
	keys = r.add(keys, keyID, r.facts.id != "")
	keys = r.add(keys, keySubnets4, r.facts.subnets4 != nil)
	for _, name := range []string{keyAddrs4, keySubnets6, keyAddrs6, keyDelegated4, keyDelegated6} {
		keys = r.add(keys, name, false)
	}
	return keys
}

// numbering names the keys that the interface's number is made of, as far as it is not known for good.
func (r *reading) numbering() (keys []string) {
	if r.first == (MAC{}) {
		keys = append(keys, keyFirst)
	}
	keys = r.add(keys, keyDevice, r.facts.numbered)
	return r.add(keys, r.networkCardName(), r.networkCardFixed())
}

// add adds a key to those that are to be asked for, unless it is known, was asked, or the interface does not list it.
func (r *reading) add(keys []string, name string, known bool) []string {
	key := interfaceKey(r.mac, name)
	if _, asked := r.got[key]; asked || known || !r.names[name] {
		return keys
	}
	return append(keys, key)
}

// networkCardName is the listed one of the network card's two names.
func (r *reading) networkCardName() string {
	if r.names[keyCard] {
		return keyCard
	}
	return keyCardOld
}

// networkCardFixed says that the network card's number is known and final. A 0 is final only on the first
// interface: on a new one it may be the cloud's way of saying "not yet".
func (r *reading) networkCardFixed() bool {
	return r.facts.networkCarded && (r.facts.networkCard != 0 || r.mac == r.first)
}

// answer is what the metadata said for one of the interface's keys; one that was not listed is Absent.
func (r *reading) answer(name string) answer {
	if a, asked := r.got[interfaceKey(r.mac, name)]; asked {
		return a
	}
	return answer{Answer: None[string]()}
}

// interpret makes the Interface of the answers. An error says that the interface cannot be told from others yet
// (ErrNotReady), or that nothing of it can be used; a single value that is not believed is in Problems instead, and its
// key Unavailable. Subnets come first: an address is believed only within one.
func (r *reading) interpret() error {
	if err := r.identify(); err != nil {
		return err
	}
	r.iface.MAC = r.mac
	r.iface.Primary = r.mac == r.first
	r.iface.DeviceNumber, r.iface.NetworkCard = r.facts.device, r.facts.networkCard
	r.readID()
	r.readSubnets()
	v4, v6 := family4(), family6()
	r.iface.Addrs4 = list(r, keyAddrs4, v4.addr(r.iface.Subnets4.Value))
	r.iface.Addrs6 = list(r, keyAddrs6, v6.addr(r.iface.Subnets6.Value))
	r.iface.Prefixes4 = list(r, keyDelegated4, v4.delegated(r.iface.Subnets4.Value))
	r.iface.Prefixes6 = list(r, keyDelegated6, v6.delegated(r.iface.Subnets6.Value))
	r.needAddr4()
	return nil
}

// needAddr4 does not believe that an interface in an IPv4 subnet has no IPv4 address: every one has at least
// one (docs.aws.amazon.com, VPC, "Network interface basics"), so that the key is late, or spoilt. Only an
// interface for EFA alone has none: it never lists the key. Whether it is one only time can tell.
func (r *reading) needAddr4() {
	if r.iface.Addrs4.Status != Absent || r.iface.Subnets4.Status != Present {
		return
	}
	r.iface.Addrs4.Status = Unavailable
	if r.names[keyAddrs4] {
		r.problem(errNoAddrs4)
	} else {
		r.problem(errUnlisted4)
	}
}

var (
	errNoAddrs4  = errors.New("it names an IPv4 subnet and no IPv4 address, which is not believed")
	errUnlisted4 = errors.New("it names an IPv4 subnet and does not list " + keyAddrs4 + ", which is not believed yet")
)

// Unlisted4 reports whether the metadata lists an IPv4 subnet of the interface and no key for IPv4 addresses:
// it is late, or the interface has none at all, as one for EFA alone.
func (i Interface) Unlisted4() bool { return slices.Contains(i.Problems, errUnlisted4) }

// Without4 is an interface that is Unlisted4, believed to have no IPv4 address.
func (i Interface) Without4() Interface {
	i.Addrs4 = None[[]netip.Addr]()
	i.Problems = slices.DeleteFunc(slices.Clone(i.Problems), func(err error) bool { return err == errUnlisted4 }) //nolint:errorlint // the very same
	return i
}

// identify finds out which interface of the instance this is.
func (r *reading) identify() error {
	if err := r.readFirst(); err != nil {
		return err
	}
	return r.readNumber()
}

// readFirst finds the first interface of the instance: the key mac at the top names its MAC address, of several interfaces
// that of device number 0 (AWS, "Instance metadata categories").
func (r *reading) readFirst() error {
	if r.first != (MAC{}) {
		return nil
	}
	a := r.got[keyFirst]
	if a.err != nil {
		return a.err
	}
	first, err := firstMAC(a.Answer)
	if err != nil {
		return err
	}
	r.first = first
	return nil
}

// readNumber finds what the interface's table and rules are numbered by, or fails: with a guessed 0 in
// place of one of the two, the interface would write into another interface's table.
func (r *reading) readNumber() error {
	if err := r.readDevice(); err != nil {
		return err
	}
	if err := r.readInterface(); err != nil {
		return err
	}
	if r.facts.device == 0 && r.facts.networkCard == 0 && r.mac != r.first {
		return notReady(interfaceKey(r.mac, keyDevice), "it is 0, and "+r.first.String()+" is the first interface")
	}
	r.facts.numbered = r.facts.device != 0 || r.mac == r.first
	return nil
}

// readDevice reads device-number, which is unique only together with the network card's number.
func (r *reading) readDevice() error {
	if r.facts.numbered {
		return nil
	}
	n, status, err := r.number(keyDevice)
	if err != nil {
		return err
	}
	if status == Absent {
		return notReady(interfaceKey(r.mac, keyDevice), "it has no value yet")
	}
	r.facts.device = n
	return nil
}

// readInterface keeps the last number when the key could not be had now.
func (r *reading) readInterface() error {
	if r.networkCardFixed() {
		return nil
	}
	n, status, err := r.number(r.networkCardName())
	if err != nil && r.facts.networkCarded {
		r.problem(err)
		return nil
	}
	if err != nil {
		return err
	}
	r.facts.networkCard, r.facts.networkCarded = n, status == Present
	return nil
}

// number is a key that is a decimal number, and how it was answered.
func (r *reading) number(name string) (int, Status, error) {
	a := r.answer(name)
	if a.Status != Present {
		return 0, a.Status, a.err
	}
	n, err := parseNumber(a.Value)
	if err != nil {
		return 0, Unavailable, unusable(interfaceKey(r.mac, name), err)
	}
	return n, Present, nil
}

// readID reads the ENI's id. It never changes, so that it is asked for once.
func (r *reading) readID() {
	if a := r.answer(keyID); r.facts.id == "" && a.Status == Present {
		id, err := parseID(a.Value)
		r.refused(keyID, err)
		r.facts.id = id
	} else {
		r.problem(a.err)
	}
	r.iface.ID = r.facts.id
}

// readSubnets reads the subnets' CIDR blocks. That of IPv4 is asked for once: an interface never moves to another subnet.
func (r *reading) readSubnets() {
	v4, v6 := family4(), family6()
	r.iface.Subnets6 = list(r, keySubnets6, v6.subnet)
	if r.facts.subnets4 != nil {
		r.iface.Subnets4 = Is(append([]netip.Prefix(nil), r.facts.subnets4...))
		return
	}
	r.iface.Subnets4 = list(r, keySubnets4, v4.subnet)
	if r.iface.Subnets4.Status == Present {
		r.facts.subnets4 = append([]netip.Prefix(nil), r.iface.Subnets4.Value...)
	}
}

// list reads a key with any number of values. When none of them can be used the answer is
// Unavailable: nothing that is there may be taken away for the sake of it.
func list[T comparable](r *reading, name string, parse func(string) (T, error)) Answer[[]T] {
	a := r.answer(name)
	if a.Status != Present {
		r.problem(a.err)
		return Answer[[]T]{Status: a.Status}
	}
	values, refused := parseList(a.Value, parse)
	for _, err := range refused {
		r.refused(name, err)
	}
	if len(values) == 0 {
		return Answer[[]T]{}
	}
	return Is(values)
}

func (r *reading) refused(name string, err error) {
	if err != nil {
		r.problem(fmt.Errorf("%s: %w", name, err))
	}
}

func (r *reading) problem(err error) {
	if err != nil {
		r.iface.Problems = append(r.iface.Problems, err)
	}
}
