package doctor

import (
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// largestFile bounds what is read of another program's file.
const largestFile = 256 << 10

// ReadOrigins reads the files that say who writes rules and routes: those of systemd-networkd, NetworkManager and
// ifupdown, of wg-quick, scripts at boot, and iproute2's names. What may not be read says nothing. root is
// os.DirFS("/") but in tests.
func ReadOrigins(root fs.FS) (o Origins) {
	names := func(kind string) map[string]uint32 {
		return readNames(root, "usr/share/iproute2/"+kind, "usr/lib/iproute2/"+kind, "etc/iproute2/"+kind, "usr/share/iproute2/"+kind+".d/*.conf", "etc/iproute2/"+kind+".d/*.conf")
	}
	o.Protocols = map[uint8]string{}
	for name, n := range names("rt_protos") {
		o.Protocols[uint8(n)] = name
	}
	p := declarations{root: root, tables: names("rt_tables")}
	o.Gone = goneFiles(root)
	p.networkd()
	p.networkManager()
	p.scripts()
	o.Declared = p.found
	for _, file := range globs(root, "etc/wireguard/*.conf") {
		o.WireGuard = append(o.WireGuard, strings.TrimSuffix(path.Base(file), ".conf"))
	}
	return o
}

// readNames reads tables of numbers and names, later ones over earlier ones.
func readNames(root fs.FS, patterns ...string) map[string]uint32 {
	out := map[string]uint32{}
	for _, file := range globs(root, patterns...) {
		for line := range strings.Lines(readSmall(root, file)) {
			line, _, _ = strings.Cut(line, "#")
			f := strings.Fields(line)
			if len(f) < 2 {
				continue
			}
			if n, err := strconv.ParseUint(f[0], 0, 32); err == nil {
				out[f[1]] = uint32(n)
			}
		}
	}
	return out
}

func globs(root fs.FS, patterns ...string) (out []string) {
	for _, p := range patterns {
		files, _ := fs.Glob(root, p)
		out = append(out, files...)
	}
	return out
}

func readSmall(root fs.FS, file string) string {
	info, err := fs.Stat(root, file)
	if err != nil || !info.Mode().IsRegular() || info.Size() > largestFile {
		return ""
	}
	b, _ := fs.ReadFile(root, file)
	return string(b)
}

// declarations collects what files ask for.
type declarations struct {
	root   fs.FS
	tables map[string]uint32 // numbers by name
	found  []Declared
}

func (p *declarations) table(s string) uint32 {
	switch s {
	case "main":
		return tableMain
	case "default":
		return tableDefault
	}
	if n, ok := p.tables[s]; ok {
		return n
	}
	return number(s)
}

func number(s string) uint32 {
	n, _ := strconv.ParseUint(s, 0, 32)
	return uint32(n)
}

// networkd reads its files (systemd.network(5)) and their drop-ins: sections [RoutingPolicyRule], [Route].
func (p *declarations) networkd() {
	var files []string
	for _, dir := range []string{"etc", "run", "usr/local/lib", "usr/lib", "lib"} {
		files = append(files, globs(p.root, dir+"/systemd/network/*.network", dir+"/systemd/network/*.network.d/*.conf")...)
	}
	for _, file := range files {
		text := readSmall(p.root, file)
		program := "systemd-networkd"
		switch {
		case strings.Contains(text, "policy-routes@"):
			program = "amazon-ec2-net-utils"
		case strings.HasPrefix(path.Base(file), "10-netplan-"):
			program = "netplan"
		}
		for _, s := range sections(text) {
			d := Declared{Program: program, File: "/" + file, Table: p.table(s.keys["Table"])}
			switch s.name {
			case "RoutingPolicyRule":
				d.Rule, d.Pref = true, number(s.keys["Priority"])
				d.From, d.To = prefixOf(s.keys["From"]), prefixOf(s.keys["To"])
			case "Route":
				via, _ := netip.ParseAddr(s.keys["Gateway"])
				d.Dst, d.Via = prefixOf(s.keys["Destination"]), via
			case "DHCPv4", "DHCP", "IPv6AcceptRA":
				if d.Table = p.table(s.keys["RouteTable"]); d.Table != 0 {
					d.Leased = true
					p.found = append(p.found, d)
				}
				continue
			default:
				continue
			}
			p.add(d, s.keys["Gateway"])
		}
	}
}

// add keeps a declaration; a route without a destination is a default route, of the gateway's family or of both.
func (p *declarations) add(d Declared, gateway string) {
	if d.Rule && !d.selects() {
		return
	}
	if d.Rule && d.Table == 0 {
		d.Table = tableMain
	}
	if d.Rule || d.Dst.IsValid() {
		p.found = append(p.found, d)
		return
	}
	for _, all := range []string{"0.0.0.0/0", "::/0"} {
		d.Dst = netip.MustParsePrefix(all)
		if d.defaultOf(d.Dst.Addr().Is6(), gateway) {
			p.found = append(p.found, d)
		}
	}
}

// networkManager reads its keyfiles (nm-settings-keyfile(5)), which only root may, and the older files of Red Hat's.
func (p *declarations) networkManager() {
	for _, file := range globs(p.root, "etc/NetworkManager/system-connections/*", "run/NetworkManager/system-connections/*") {
		program := "NetworkManager"
		if strings.HasPrefix(path.Base(file), "netplan-") {
			program = "netplan"
		}
		for _, s := range sections(readSmall(p.root, file)) {
			if s.name != "ipv4" && s.name != "ipv6" {
				continue
			}
			p.keyfile(s, Declared{Program: program, File: "/" + file})
		}
	}
	for _, file := range globs(p.root, "etc/sysconfig/network-scripts/rule-*", "etc/sysconfig/network-scripts/rule6-*") {
		for line := range strings.Lines(readSmall(p.root, file)) {
			p.words(strings.Fields(line), Declared{Program: "the network scripts", File: "/" + file, Rule: true})
		}
	}
	for _, file := range globs(p.root, "etc/sysconfig/network-scripts/route-*", "etc/sysconfig/network-scripts/route6-*") {
		for line := range strings.Lines(readSmall(p.root, file)) {
			p.words(strings.Fields(line), Declared{Program: "the network scripts", File: "/" + file})
		}
	}
}

func (p *declarations) keyfile(s section, d Declared) {
	for key, value := range s.keys {
		switch {
		case key == "route-table":
			r := d
			if r.Table = p.table(value); r.Table != 0 {
				r.Leased = true
				p.found = append(p.found, r)
			}
		case strings.HasPrefix(key, "routing-rule"):
			r := d
			r.Rule = true
			p.words(strings.Fields(value), r)
		case strings.HasPrefix(key, "route") && strings.Trim(key, "route0123456789") == "" && key != "route":
			f := strings.Split(value, ",")
			r := d
			r.Dst = prefixOf(f[0])
			if len(f) > 1 {
				r.Via, _ = netip.ParseAddr(f[1])
			}
			r.Table = p.table(s.keys["route-table"])
			for o := range strings.SplitSeq(s.keys[key+"_options"], ",") {
				if v, ok := strings.CutPrefix(o, "table="); ok {
					r.Table = p.table(v)
				}
			}
			p.add(r, "")
		}
	}
}

// scripts are commands of ip(8) in files that are run at boot.
func (p *declarations) scripts() {
	for _, file := range globs(p.root, "etc/network/interfaces", "etc/network/interfaces.d/*", "etc/rc.local", "etc/network/if-up.d/*",
		"etc/networkd-dispatcher/routable.d/*", "etc/NetworkManager/dispatcher.d/*") {
		for line := range strings.Lines(readSmall(p.root, file)) {
			f := strings.Fields(line)
			i := slices.IndexFunc(f, func(w string) bool { return path.Base(w) == "ip" })
			if i < 0 || strings.HasPrefix(f[0], "#") {
				continue
			}
			f = slices.DeleteFunc(f[i+1:], func(w string) bool { return w == "-4" || w == "-6" })
			if len(f) < 3 || (f[1] != "add" && f[1] != "replace" && f[1] != "a") {
				continue
			}
			d := Declared{Program: "a script", File: "/" + file, Rule: strings.HasPrefix("rule", f[0]) && f[0] != "r"}
			p.words(f[2:], d)
		}
	}
}

// words reads what ip(8) takes behind "rule add" and "route add".
func (p *declarations) words(f []string, d Declared) {
	known := false
	for i := 0; i < len(f); i++ {
		next := ""
		if i+1 < len(f) {
			next = f[i+1]
		}
		if strings.Contains(f[i], "$") {
			return // what a script makes of it is not known
		}
		switch f[i] {
		case "from":
			d.From = prefixOf(next)
		case "to":
			d.To = prefixOf(next)
		case "table", "lookup":
			d.Table = p.table(next)
		case "priority", "prio", "pref", "preference", "order":
			d.Pref = number(next)
		case "via":
			d.Via, _ = netip.ParseAddr(next)
		default:
			if dst := prefixOf(f[i]); i == 0 && !d.Rule && (dst.IsValid() || f[i] == "default") {
				d.Dst = dst
				known = true
			}
			continue
		}
		if strings.Contains(next, "$") {
			return
		}
		known = true
		i++
	}
	if known {
		p.add(d, "")
	}
}

type section struct {
	name string
	keys map[string]string // the last of each counts
}

// sections reads a file of "[name]" and "key=value", with several sections of the same name.
func sections(text string) (out []section) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		switch {
		case strings.HasPrefix(line, "#"), strings.HasPrefix(line, ";"):
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			out = append(out, section{strings.Trim(line, "[]"), map[string]string{}})
		case ok && len(out) > 0:
			out[len(out)-1].keys[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return out
}
