// Package config reads /etc/ec2net/ec2net.toml, strictly: what is not understood is an error that
// names its place and what is allowed there.
//
// Keys at the top of the file hold for every interface. Each [[interface]] section says by its match keys which
// interfaces it is for, and overrides the settings it names; a later section wins over an earlier one, key
// by key.
//
// The file is read with the stable API of go-toml. Its decoder alone would stop at the first value of a wrong type, name Go's
// types, take keys in any case of letters, and say no position of a value that ec2net does not like. So the decoder is shown one
// expression at a time (see reader.expression), without a place for any key: then it says which key there is, and where.
package config

import (
	"slices"
	"time"
)

// Path is where the configuration lies unless the command line names another file.
const Path = "/etc/ec2net/ec2net.toml"

// Manage says how much is done with an interface.
type Manage uint8

// The values of the key manage.
const (
	Full   Manage = iota // true: addresses, routes, rules and the lease
	LinkUp               // "link-up": the link is set up and nothing else
	None                 // false: the interface is never touched
)

// String writes the value as in the file, without quotes.
func (m Manage) String() string { return [...]string{"true", "link-up", "false"}[m] }

// DHCP says who takes the interface's lease.
type DHCP uint8

// The values of the key dhcp.
const (
	Auto   DHCP = iota // "auto": ec2net, unless another program already owns the interface
	Native             // "native": ec2net, whoever else does
	Off                // "off": nobody; the addresses come from the metadata alone
)

// String writes the value as in the file, without quotes.
func (d DHCP) String() string { return [...]string{"auto", "native", "off"}[d] }

// Prefixes says what becomes of the blocks of addresses that are delegated to an interface.
type Prefixes uint8

// The values of the key prefixes.
const (
	PrefixRules Prefixes = iota // "rules": what has its source in the block leaves by the interface
	PrefixLocal                 // "local": and the host answers for every address of the block
	PrefixOff                   // "off": nothing is done for them
)

// String writes the value as in the file, without quotes.
func (p Prefixes) String() string { return [...]string{"rules", "local", "off"}[p] }

// Replies says by which interface an answer leaves.
type Replies uint8

// The values of the key replies.
const (
	BySource    Replies = iota // "by-source": the interface whose address it comes from
	ByInterface                // "by-interface": also, for what the host passed on to another address, the interface that the question came by
)

// String writes the value as in the file, without quotes.
func (r Replies) String() string { return [...]string{"by-source", "by-interface"}[r] }

// Interface is the settings of one interface.
type Interface struct {
	Manage    Manage
	DHCP      DHCP
	Priority  uint32 // of the whole host: where the policy rules for its interfaces begin, 1 to 9990; 0: as ever
	MainTable bool   // the interface's subnet and default route are in table main too
	Prefixes  Prefixes
	Replies   Replies
	Refresh   time.Duration // between two readings of the metadata, 1s to 1h
	// Release is how long the metadata has to leave an address out until it is taken off, 1s to 1h.
	Release time.Duration
	Wait    time.Duration // for the interface to be known to the cloud and set up, 1s to 1h
}

// Config is what one file says. Its zero value is not a configuration: see Default.
type Config struct {
	File     string    // where it was read from; empty when there was no file
	Defaults Interface // of an interface that no section matches
	// MetricsFile is where the metrics of all interfaces are written for Prometheus's node_exporter; empty: nowhere.
	MetricsFile string
	Egress      Egress // where the host's own traffic leaves
	NAT         NAT    // for whom the host passes traffic on
	sections    []section
}

// section is one [[interface]] of the file.
type section struct {
	match []matcher
	set   []assignment
}

// assignment is one setting that a section overrides.
type assignment struct {
	key   string
	apply func(*Interface)
}

// Default is the configuration of a machine without a file.
func Default() Config {
	return Config{Defaults: Interface{
		Manage:    Full,
		DHCP:      Auto,
		MainTable: true,
		Prefixes:  PrefixRules,
		Replies:   BySource,
		Refresh:   30 * time.Second,
		Release:   30 * time.Second, // the servers of the metadata agree within seconds; and no longer than Refresh is late already
		Wait:      2 * time.Minute,
	}}
}

// For returns the settings of one interface. A section that asks for a fact which is not known yet does
// not count: NeedsMetadata says whether that can matter.
func (c Config) For(f Facts) Interface {
	iface := c.Defaults
	for _, s := range c.sections {
		if s.verdict(f) == yes {
			s.override(&iface)
		}
	}
	return iface
}

func (s section) override(iface *Interface) {
	for _, a := range s.set {
		a.apply(iface)
	}
}

// NeedsMetadata says whether the settings of an interface still hang on what only the metadata knows: its
// ENI, device number or network card. While it is true, a careful caller leaves the interface alone. It is
// false for an interface that is excluded whatever the metadata will say, so that such an interface is never
// asked about, and false as soon as the metadata has answered (see Facts.Learn).
func (c Config) NeedsMetadata(f Facts) bool {
	manage := c.outcomes(f, "manage")
	if len(manage) > 1 {
		return true
	}
	return manage[0].Manage == Full && slices.ContainsFunc(settings(), func(s entry[func(*Interface)]) bool {
		return len(c.outcomes(f, s.name)) > 1
	})
}

// Insists says whether a [[interface]] section that is for the interface sets manage = true, so that it is ec2net's
// whoever else has it. It is not certain while a section hangs on what only the metadata knows.
func (c Config) Insists(f Facts) (insists, certain bool) {
	certain = true
	for _, s := range c.sections {
		v := s.verdict(f)
		for _, a := range s.set {
			iface := Interface{Manage: None}
			if a.apply(&iface); a.key != "manage" || v == no {
				continue
			}
			if v == unknown {
				certain = certain && insists == (iface.Manage == Full)
			} else {
				insists, certain = iface.Manage == Full, true
			}
		}
	}
	return insists, certain
}

// outcomes lists, for one key, the defaults with each value that the key may still come to have.
func (c Config) outcomes(f Facts, key string) []Interface {
	ifaces := []Interface{c.Defaults}
	for _, s := range c.sections {
		v := s.verdict(f)
		for _, a := range s.set {
			if a.key == key {
				ifaces = narrow(ifaces, a, v)
			}
		}
	}
	return ifaces
}

// narrow follows one more assignment: a certain one leaves one outcome, a possible one adds its own.
func narrow(ifaces []Interface, a assignment, v verdict) []Interface {
	iface := ifaces[0]
	a.apply(&iface)
	switch {
	case v == yes:
		return []Interface{iface}
	case v == unknown && !slices.Contains(ifaces, iface):
		return append(ifaces, iface)
	}
	return ifaces
}
