package lab

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Identity is what the metadata says of an instance as a whole.
type Identity struct {
	ID, AMI, Type, Zone, Region, Account string
	UserData                             string            // 404 when empty
	Tags                                 map[string]string // meta-data/tags/instance/, 404 when empty
}

func (i Identity) withDefaults() Identity {
	for field, value := range map[*string]string{
		&i.ID: "i-0ec2ec2ec2ec2ec20", &i.AMI: "ami-0ec2ec2ec2ec2ec20", &i.Type: "c5n.large",
		&i.Zone: "eu-north-1a", &i.Region: "eu-north-1", &i.Account: "123456789012",
	} {
		if *field == "" {
			*field = value
		}
	}
	return i
}

// tree holds the metadata's leaves, each below its path without leading slash. Directories are derived.
type tree map[string]string

const macsDir = "meta-data/network/interfaces/macs"

// instanceTree is what an instance with these interfaces sees. The first interface is the primary.
func instanceTree(id Identity, vpc []netip.Prefix, ifaces []*iface) tree {
	t := tree{}
	t.identity(id)
	if len(ifaces) > 0 {
		t.primary(id, ifaces[0])
	}
	several := slices.ContainsFunc(ifaces, func(k *iface) bool { return k.NetworkCard > 0 })
	for _, k := range ifaces {
		t.iface(id, vpc, k, several)
	}
	return t
}

func (t tree) identity(id Identity) {
	for path, value := range map[string]string{
		"ami-id": id.AMI, "ami-launch-index": "0", "ami-manifest-path": "(unknown)", "instance-action": "none",
		"instance-id": id.ID, "instance-life-cycle": "on-demand", "instance-type": id.Type, "profile": "default-hvm",
		"placement/availability-zone": id.Zone, "placement/region": id.Region,
		"reservation-id": "r-0ec2ec2ec2ec2ec20", "security-groups": "default",
		"services/domain": "amazonaws.com", "services/partition": "aws",
	} {
		t["meta-data/"+path] = value
	}
	for k, v := range id.Tags {
		t["meta-data/tags/instance/"+k] = v
	}
	if id.UserData != "" {
		t["user-data"] = id.UserData
	}
}

// primary adds what the metadata repeats of the first interface.
func (t tree) primary(id Identity, k *iface) {
	t["meta-data/mac"] = k.MAC.String()
	host := k.hostname(id)
	t["meta-data/hostname"], t["meta-data/local-hostname"] = host, host
	doc := map[string]string{
		"accountId": id.Account, "architecture": "x86_64", "availabilityZone": id.Zone, "imageId": id.AMI,
		"instanceId": id.ID, "instanceType": id.Type, "region": id.Region, "version": "2017-09-30",
	}
	if len(k.Addrs4) > 0 {
		t["meta-data/local-ipv4"] = k.Addrs4[0].String()
		doc["privateIp"] = k.Addrs4[0].String()
		if public, ok := k.EIPs[k.Addrs4[0]]; ok {
			t["meta-data/public-ipv4"] = public.String()
		}
	}
	if len(k.Addrs6) > 0 {
		t["meta-data/ipv6"] = k.Addrs6[0].String()
	}
	text, _ := json.MarshalIndent(doc, "", "  ") // a map of strings always encodes
	t["dynamic/instance-identity/document"] = string(text)
}

// interface adds the directory of one interface. Keys without a value are absent, as on EC2, and so is the index of
// the network interface on instances that have but one.
func (t tree) iface(id Identity, vpc []netip.Prefix, k *iface, several bool) {
	set := func(key string, values ...string) {
		if len(values) > 0 && values[0] != "" {
			t[macsDir+"/"+k.MAC.String()+"/"+key] = strings.Join(values, "\n")
		}
	}
	set("device-number", strconv.Itoa(k.DeviceNumber))
	set("interface-id", k.ID)
	set("mac", k.MAC.String())
	set("local-hostname", k.hostname(id))
	set("owner-id", id.Account)
	set("security-group-ids", "sg-0ec2ec2ec2ec2ec20")
	set("security-groups", "default")
	set("subnet-id", k.Subnet)
	set("vpc-id", "vpc-0ec2ec2ec2ec2ec20")
	if several {
		set("network-card-index", strconv.Itoa(k.NetworkCard))
	}
	set("local-ipv4s", texts(slices.DeleteFunc(slices.Clone(k.Addrs4), netip.Addr.IsLinkLocalUnicast))...)
	set("ipv6s", texts(k.Addrs6)...)
	set("ipv4-prefix", texts(k.Prefixes4)...)
	set("ipv6-prefix", texts(k.Prefixes6)...)
	k.blocks(set, vpc)
	for _, private := range k.Addrs4 {
		if public, ok := k.EIPs[private]; ok {
			set("ipv4-associations/"+public.String(), private.String())
		}
	}
	k.publics(set, id)
}

// blocks sets the CIDR blocks of the interface's subnet and VPC.
func (k *iface) blocks(set func(string, ...string), vpc []netip.Prefix) {
	var v4, v6 []netip.Prefix
	for _, p := range vpc {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	if len(v4) > 0 {
		set("vpc-ipv4-cidr-block", v4[0].String())
	}
	set("vpc-ipv4-cidr-blocks", texts(v4)...)
	if len(k.Addrs4)+len(k.Prefixes4) > 0 && k.subnet.CIDR.IsValid() {
		set("subnet-ipv4-cidr-block", k.subnet.CIDR.String())
	}
	if len(k.Addrs6)+len(k.Prefixes6) > 0 && k.subnet.IPv6.IsValid() {
		set("subnet-ipv6-cidr-blocks", k.subnet.IPv6.String())
		set("vpc-ipv6-cidr-blocks", texts(v6)...)
	}
}

// publics sets the public addresses of the interface.
func (k *iface) publics(set func(string, ...string), id Identity) {
	var publics []string
	for _, private := range k.Addrs4 {
		if public, ok := k.EIPs[private]; ok {
			publics = append(publics, public.String())
		}
	}
	set("public-ipv4s", publics...)
	if len(publics) > 0 {
		set("public-hostname", fmt.Sprintf("ec2-%s.%s.compute.amazonaws.com", strings.ReplaceAll(publics[0], ".", "-"), id.Region))
	}
}

func (k *iface) hostname(id Identity) string {
	if len(k.Addrs4) == 0 {
		return id.ID + "." + id.Region + ".compute.internal"
	}
	return fmt.Sprintf("ip-%s.%s.compute.internal", strings.ReplaceAll(k.Addrs4[0].String(), ".", "-"), id.Region)
}

func texts[T fmt.Stringer](values []T) []string {
	var out []string
	for _, v := range values {
		out = append(out, v.String())
	}
	return out
}

// at returns what a path shows: a leaf's value, or a directory's listing in which directories end in a slash.
func (t tree) at(path string) (body string, ok bool) {
	if v, leaf := t[strings.TrimSuffix(path, "/")]; leaf {
		return v, !strings.HasSuffix(path, "/")
	}
	entries := t.list(strings.Trim(path, "/"))
	return strings.Join(entries, "\n"), len(entries) > 0
}

func (t tree) list(dir string) []string {
	if dir != "" {
		dir += "/"
	}
	var entries []string
	for path := range t {
		rest, below := strings.CutPrefix(path, dir)
		if !below {
			continue
		}
		name, _, isDir := strings.Cut(rest, "/")
		if isDir {
			name += "/"
		}
		entries = append(entries, name)
	}
	slices.Sort(entries)
	return slices.Compact(entries)
}
