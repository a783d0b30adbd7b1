package metadata

import (
	"io/fs"
	"net/netip"
	"regexp"
	"slices"
	"sync"
)

// Cloud names whose metadata this machine has.
type Cloud string

// The clouds. Of those without a reader (Provider.Open) no machine is found to be one.
const (
	CloudNone    Cloud = "none" // none of the others
	CloudEC2     Cloud = "ec2"
	CloudAzure   Cloud = "azure"
	CloudGCE     Cloud = "gce"
	CloudOCI     Cloud = "oci"
	CloudAliyun  Cloud = "aliyun"
	CloudTencent Cloud = "tencent"
)

// Provider is one cloud, as a value: how it is recognised, how its metadata is asked, and what its network does in its
// own way. Outside of this package no cloud is named.
type Provider struct {
	Name Cloud
	// Detect knows the cloud's machines by their firmware and sends no packet; sys is the root of sysfs. nil: the firmware
	// tells nothing, and only --cloud chooses the cloud.
	Detect func(sys fs.FS) bool
	// Trial: only --cloud chooses the cloud, as long as it is not known to work from end to end.
	Trial bool
	// Open makes the cloud's source and sends nothing. nil: there is no reader yet, and the cloud can neither be
	// detected nor be chosen.
	Open func(Options) (Source, error)
	// Traits are the same for all of the cloud's machines.
	Traits Traits
}

// Options are what a source may need to know of this machine.
type Options struct {
	// Towards names the device to bind a socket to, at each connection, as far as the kernel lets it be bound. nil,
	// or no name: the routing table decides. It is asked on a goroutine of its own.
	Towards func(server netip.AddrPort) string
	// Host tells what the machine itself knows of its interfaces, and by which of them it reaches the servers. It
	// is asked at each reading, on its goroutine.
	Host func(servers ...netip.Addr) (Host, error)
}

// Traits are what a cloud's network does in its own way. It is plain data: the zero value of each field is what most
// clouds do.
type Traits struct {
	// Metadata are the addresses at which the metadata is asked.
	Metadata []netip.Addr
	// EveryInterface: the metadata answers by each of the cloud's interfaces, rather than by the primary alone.
	EveryInterface bool
	// Servers are the cloud's own servers, the metadata's among them, which a host asks by its primary interface:
	// neither [egress] nor another interface's lease leads their traffic elsewhere.
	Servers []netip.Addr
	// SwitchOn is how an operator switches the metadata on; empty: in the cloud's settings of the machine.
	SwitchOn string

	// PrimaryDHCP: DHCP (IPv4) serves the primary interface alone, and secondaries have none to wait for.
	PrimaryDHCP bool
	// Ask is DHCP's parameter request list (option 55); nil is the usual one, see dhcp.Client.
	Ask []uint8
	// Gateways are where an interface's IPv4 gateway is looked for, in this order; nil: UsualGateways.
	Gateways []GatewaySource
	// Gateway6 is the link-local address of the cloud's router, which answers on every subnet, also where no router
	// advertisement names it; invalid: each subnet has one of its own.
	Gateway6 netip.Addr
	// OffLink: nobody in an interface's IPv4 subnet answers ARP but the gateway, by which the subnet is reached too; in IPv6
	// no subnet is on the link.
	OffLink bool
	// FabricARP: the cloud's network goes by its own tables, not by what hosts answer to ARP, so that two interfaces in
	// one subnet may answer for each other (arp_ignore and arp_filter of ip-sysctl.rst).
	FabricARP bool

	// ID is the form of an interface's id, as a regular expression of the whole of it; empty: there are none.
	ID string
	// AltName is the form of those ids that are ours wherever an interface has one as an alternative name. empty: that
	// of ID. It is the narrower one where ID allows for kinds of interfaces that are still to come.
	AltName string
	// Drivers are the kernel drivers of the cloud's interfaces, which udev's rule starts a unit for.
	Drivers []string
	// Twins say which of two devices with one MAC address is the interface.
	Twins Twins
}

// Twins are the drivers by which two devices with one MAC address are told apart, where a cloud gives a machine such:
// the interface, which has the addresses, and a virtual function, which it enslaves.
type Twins struct {
	Interface []string // drivers of interfaces
	Function  []string // drivers of virtual functions: such a device is none, even while its interface is still to come
	Either    []string // drivers of devices that are an interface where they stand alone
}

// GatewaySource is one of the places that an interface's IPv4 gateway is looked for.
type GatewaySource uint8

// The sources of an interface's IPv4 gateway.
const (
	GatewayOfLease    GatewaySource = iota + 1 // the lease's router, if it lies in the subnet
	GatewayOfMetadata                          // the one that the metadata names
	GatewayFirst                               // the first address of the subnet
)

// UsualGateways is the order of the clouds whose router has the first address of every subnet
// (docs.aws.amazon.com, VPC, "Subnet CIDR blocks").
func UsualGateways() []GatewaySource {
	return []GatewaySource{GatewayOfLease, GatewayOfMetadata, GatewayFirst}
}

// everyCloud are all clouds that anything is known of, in the order in which they are listed for users.
func everyCloud() []Provider { return []Provider{ec2(), azure(), gce(), oci(), aliyun(), tencent()} }

// Providers are the clouds that have a reader.
func Providers() []Provider {
	return slices.DeleteFunc(everyCloud(), func(p Provider) bool { return p.Open == nil })
}

// ProviderOf returns the cloud of this name, if it has a reader.
func ProviderOf(c Cloud) (Provider, bool) {
	all := Providers()
	i := slices.IndexFunc(all, func(p Provider) bool { return p.Name == c })
	if i < 0 {
		return Provider{}, false
	}
	return all[i], true
}

// Clouds are the names of those that have a reader.
func Clouds() (names []string) {
	for _, p := range Providers() {
		names = append(names, string(p.Name))
	}
	return names
}

// Traits are those of the cloud of this name; the zero Traits for another name.
func (c Cloud) Traits() Traits {
	for _, p := range everyCloud() {
		if p.Name == c {
			return p.Traits
		}
	}
	return Traits{}
}

// Drivers are the kernel drivers of the interfaces of all clouds, which udev's rule lists. Where no cloud can be asked,
// a device with another driver is not taken for an interface.
func Drivers() []string { return ofAll(func(t Traits) []string { return t.Drivers }) }

// InterfaceDrivers are the drivers of devices that are an interface, whatever else has their MAC address.
func InterfaceDrivers() []string { return ofAll(func(t Traits) []string { return t.Twins.Interface }) }

// ofAll are the values of all clouds, each once.
func ofAll[T comparable](of func(Traits) []T) (out []T) {
	for _, p := range everyCloud() {
		for _, v := range of(p.Traits) {
			if !slices.Contains(out, v) {
				out = append(out, v)
			}
		}
	}
	return out
}

// maxAltName is the longest alternative name of an interface, in bytes (ALTIFNAMSIZ of linux/if.h, less the last one).
const maxAltName = 127

// IsID reports whether s has the form of an interface's id in any cloud. An id becomes an alternative name of the
// interface in the kernel, which bounds its length.
func IsID(s string) bool { return len(s) <= maxAltName && idForm().MatchString(s) }

// IsAltName reports whether s, as an alternative name of an interface, is an id of any cloud's.
func IsAltName(s string) bool { return altNameForm().MatchString(s) }

var idForm = sync.OnceValue(func() *regexp.Regexp {
	return anyOf(ofAll(func(t Traits) []string { return []string{t.ID} }))
})

var altNameForm = sync.OnceValue(func() *regexp.Regexp {
	return anyOf(ofAll(func(t Traits) []string {
		if t.AltName == "" {
			return []string{t.ID}
		}
		return []string{t.AltName}
	}))
})

// anyOf matches the whole of what one of the forms does.
func anyOf(forms []string) *regexp.Regexp {
	all := ""
	for _, f := range forms {
		if f != "" {
			all += "|" + f
		}
	}
	return regexp.MustCompile(`^(?:` + all[1:] + `)$`)
}
