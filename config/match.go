package config

import (
	"path"

	"ec2net/metadata"
)

// Facts is what is known of an interface when its settings are looked up. Name, MAC and Driver are the
// kernel's; the rest is the metadata's. Use Local and Learn, as the zero value says device 0.
type Facts struct {
	Name         string       // empty: unknown
	MAC          metadata.MAC // zero: unknown
	ENI          string       // empty: unknown, or the cloud gives none
	DeviceNumber int          // −1 until the metadata has answered, −2 where the cloud has no such numbers
	NetworkCard  int          // the same
	Driver       string       // as in `ethtool -i`; empty: the interface names none
}

// What stands for a number that is not known, and for one that there is not.
const (
	untold = -1
	none   = -2
)

// Local returns what the kernel tells of an interface before the metadata is asked.
func Local(name string, mac metadata.MAC, driver string) Facts {
	return Facts{Name: name, MAC: mac, Driver: driver, DeviceNumber: untold, NetworkCard: untold}
}

// Learn adds what the metadata says of the interface. After that nothing is unknown any more: a cloud that
// gives no ENI id will not give one later.
func (f Facts) Learn(i metadata.Interface) Facts {
	f.ENI = i.ID
	f.DeviceNumber, f.NetworkCard = i.DeviceNumber, i.NetworkCard
	if i.Number != 0 {
		f.DeviceNumber, f.NetworkCard = none, none
	}
	return f
}

// verdict says whether a section is for an interface. The order matters: the least of a section's verdicts
// is the section's.
type verdict uint8

const (
	no verdict = iota
	unknown
	yes
)

// matcher is one match key of a section with its value.
type matcher func(Facts) verdict

func (s section) verdict(f Facts) verdict {
	v := yes
	for _, m := range s.match {
		v = min(v, m(f))
	}
	return v
}

func decided(same bool) verdict {
	if same {
		return yes
	}
	return no
}

func matchName(pattern string) matcher {
	return func(f Facts) verdict {
		ok, err := path.Match(pattern, f.Name)
		return decided(err == nil && ok && f.Name != "")
	}
}

func matchMAC(mac metadata.MAC) matcher {
	return func(f Facts) verdict { return decided(f.MAC == mac) }
}

func matchDriver(driver string) matcher {
	return func(f Facts) verdict { return decided(f.Driver == driver) }
}

func matchENI(id string) matcher {
	return func(f Facts) verdict {
		if f.ENI == "" && f.DeviceNumber == untold {
			return unknown
		}
		return decided(f.ENI == id)
	}
}

func matchDeviceNumber(n int) matcher {
	return func(f Facts) verdict { return sameNumber(f.DeviceNumber, n) }
}

func matchNetworkCard(n int) matcher {
	return func(f Facts) verdict { return sameNumber(f.NetworkCard, n) }
}

func sameNumber(have, want int) verdict {
	if have == untold {
		return unknown
	}
	return decided(have == want)
}
