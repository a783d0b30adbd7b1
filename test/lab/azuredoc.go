package lab

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"ec2net/metadata"
)

// document is Azure's metadata: objects, lists and texts, as encoding/json has them. All values are texts,
// numbers too.
type document = any

type object = map[string]any

// azureDocument is what /metadata/instance shows of a machine. The first interface is the primary.
func azureDocument(id Identity, ifaces []Interface, subnets func(string) (Subnet, bool)) document {
	interfaces := []any{}
	for _, k := range ifaces {
		s, _ := subnets(k.Subnet)
		interfaces = append(interfaces, azureInterface(k, s))
	}
	tags := []string{}
	for _, name := range slices.Sorted(maps.Keys(id.Tags)) {
		tags = append(tags, name+":"+id.Tags[name])
	}
	return object{
		"compute": object{
			"azEnvironment": "AzurePublicCloud", "location": "northeurope", "name": "ec2net-lab", "osType": "Linux",
			"provider": "Microsoft.Compute", "resourceGroupName": "ec2net", "subscriptionId": "00000000-0ec2-0000-0000-000000000001",
			"tags": strings.Join(tags, ";"), "userData": id.UserData, "vmId": "00000000-0ec2-0000-0000-000000000002",
			"vmSize": "Standard_D8s_v5", "zone": "1",
		},
		"network": object{"interface": interfaces},
	}
}

// azureInterface is one interface: its MAC without separators, and no name, number or gateway. An interface without
// IPv6 has an empty list; what IPv6 subnet the addresses are in is not said.
func azureInterface(k Interface, s Subnet) object {
	v4, v6 := []any{}, []any{}
	subnets := []any{}
	for _, a := range k.Addrs4 {
		public := ""
		if p, ok := k.EIPs[a]; ok {
			public = p.String()
		}
		v4 = append(v4, object{"privateIpAddress": a.String(), "publicIpAddress": public})
	}
	for _, a := range k.Addrs6 {
		v6 = append(v6, object{"privateIpAddress": a.String()})
	}
	for _, p := range k.Prefixes4 { // a block is spelled in one of two ways
		v4 = append(v4, object{"privateIpAddress": p.String(), "publicIpAddress": ""})
	}
	for _, p := range k.Prefixes6 {
		v6 = append(v6, object{"privateIpAddress": p.Addr().String(), "privateIpAddressPrefixLength": strconv.Itoa(p.Bits())})
	}
	if s.CIDR.IsValid() {
		subnets = append(subnets, azureSubnet(s.CIDR))
	}
	return object{
		"ipv4": object{"ipAddress": v4, "subnet": subnets}, "ipv6": object{"ipAddress": v6},
		"macAddress": azureMAC(k.MAC),
	}
}

// azureMAC is a MAC as Azure writes it.
func azureMAC(m metadata.MAC) string { return fmt.Sprintf("%X", m[:]) }

func azureSubnet(p netip.Prefix) object {
	return object{"address": p.Masked().Addr().String(), "prefix": strconv.Itoa(p.Bits())}
}

// descend finds what lies at a path: keys of objects and indices of lists.
func descend(v document, path string) (document, bool) {
	for _, key := range split(path) {
		switch in := v.(type) {
		case object:
			next, ok := in[key]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(in) {
				return nil, false
			}
			v = in[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// listing is a place of the document in the text format: the names there are, or the text itself.
func listing(v document) (body string, leaf bool) {
	var names []string
	add := func(name string, v any) {
		if _, leaf := listing(v); !leaf {
			name += "/"
		}
		names = append(names, name)
	}
	switch in := v.(type) {
	case object:
		for _, key := range slices.Sorted(maps.Keys(in)) {
			add(key, in[key])
		}
	case []any:
		for i, e := range in {
			add(strconv.Itoa(i), e)
		}
	case json.RawMessage:
		return string(in), true
	case string:
		return in, true
	}
	return strings.Join(names, "\n"), false
}

// places lists the topmost places that a pattern matches.
func places(v document, at, pattern string) (out []string) {
	if matchPath(pattern, at) {
		return []string{at}
	}
	switch in := v.(type) {
	case object:
		for key, e := range in {
			out = append(out, places(e, at+"/"+key, pattern)...)
		}
	case []any:
		for i, e := range in {
			out = append(out, places(e, at+"/"+strconv.Itoa(i), pattern)...)
		}
	}
	return out
}

// edited returns the document with a fault's change at some places; v itself stays as it is.
func (in *injected) edited(v document, at string, where []string) (out document, keep bool) {
	if slices.Contains(where, at) {
		return in.changed(v)
	}
	switch from := v.(type) {
	case object:
		to := object{}
		for key, e := range from {
			if e, keep := in.edited(e, at+"/"+key, where); keep {
				to[key] = e
			}
		}
		return to, true
	case []any:
		to := []any{}
		for i, e := range from {
			if e, keep := in.edited(e, at+"/"+strconv.Itoa(i), where); keep {
				to = append(to, e)
			}
		}
		return to, true
	}
	return v, true
}

// changed is what a fault makes of a part of the document.
func (in *injected) changed(v document) (out document, keep bool) {
	list, isList := v.([]any)
	switch {
	case in.Absent:
		return nil, false
	case in.Value != nil:
		return *in.Value, true
	case in.JSON != nil:
		return json.RawMessage(*in.JSON), true
	case in.Reverse && isList:
		list = slices.Clone(list)
		slices.Reverse(list)
		return list, true
	}
	return v, true
}

// inDocument is where the fault is at work in a document: an interface's fault follows the interface when the list of
// interfaces is in another order.
func (in *injected) inDocument(doc document) []string {
	if in.Interface == "" {
		return places(doc, "instance", in.Path)
	}
	list, _ := descend(doc, "network/interface")
	interfaces, _ := list.([]any)
	for i, e := range interfaces {
		if mac, _ := descend(e, "macAddress"); mac == in.Interface {
			at := "instance/network/interface/" + strconv.Itoa(i)
			return places(e, at, at+"/"+in.Path)
		}
	}
	return nil
}

// shapeDocument returns the document as changed by the faults that a look at path would notice. The caller
// holds the lock.
func shapeDocument(faults []*injected, doc document, method, path string, via *iface, now time.Time) (out document, ok bool) {
	ok = true
	for _, in := range faults {
		if !ok || !in.shapesTree() || in.over(now) || !in.concerns(method, via) {
			continue
		}
		where := in.inDocument(doc)
		seen := func(place string) bool { return below(place, path) || below(path, place) }
		if slices.ContainsFunc(where, seen) && in.strikes() {
			doc, ok = in.edited(doc, "instance", where)
		}
	}
	return doc, ok
}

// below says whether a path is another, or lies below it.
func below(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}
