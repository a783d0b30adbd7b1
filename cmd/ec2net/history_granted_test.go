package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	diff "github.com/google/go-cmp/cmp"
)

// settle waits until the kernel holds what the cloud grants.
func (h *history) settle() {
	h.Helper()
	var want, have []string
	wait := time.Duration(0)
	for begun := time.Now(); ; wait = pause(wait) {
		h.restart()
		want, have = h.granted(), h.held()
		if slices.Equal(want, have) {
			return
		}
		if time.Since(begun) > hang {
			h.Fatalf("seed %s: the kernel (-granted +held):\n%s", h.Name(), diff.Diff(want, have))
		}
	}
}

// restart starts the process of an interface that was renamed under it, as udev and systemd do. No other ends.
func (h *history) restart() {
	for _, iface := range h.c.Interfaces() {
		mac := iface.MAC.String()
		select {
		case <-h.keepers[mac].ended:
			if !h.renamed[mac] {
				h.Fatalf("the process of %s has ended: %v", h.names[mac], h.keepers[mac].err)
			}
			h.renamed[mac] = false
			h.adopt(iface)
		default:
		}
	}
}

// granted is what the README says of the interfaces that the cloud has.
func (h *history) granted() (out []string) {
	ifaces := h.c.Interfaces()
	for _, c := range ifaces {
		dev, t := h.names[c.MAC.String()], 10000+c.DeviceNumber
		subnet := netip.PrefixFrom(c.Addrs4[0], 24).Masked()
		for i, a := range c.Addrs4 {
			switch {
			case i == 0 && t > 10000:
				out = append(out, fmt.Sprintf("%s %s/24", dev, a))
			case i > 0:
				out = append(out, fmt.Sprintf("%s %s/32", dev, a))
			}
			if t > 10000 || len(ifaces) > 1 {
				out = append(out, fmt.Sprintf("%d: from %s lookup %d", t+10000, a, t))
			}
		}
		for _, p := range c.Prefixes4 {
			out = append(out, fmt.Sprintf("%d: from %s lookup %d", t+10000, p, t))
		}
		if t == 10000 && len(ifaces) == 1 {
			continue
		}
		gw := subnet.Addr().Next()
		out = append(out, fmt.Sprintf("%d: from %s lookup 254", t, subnet),
			fmt.Sprintf("%s dev %s table %d", subnet, dev, t), fmt.Sprintf("default via %s dev %s table %d", gw, dev, t))
		if t > 10000 {
			out = append(out, fmt.Sprintf("%s dev %s metric %d", subnet, dev, t), fmt.Sprintf("default via %s dev %s metric %d", gw, dev, t))
		} else {
			out = append(out, fmt.Sprintf("172.16.0.0/12 dev %s table %d", dev, t)) // a stranger's, copied
		}
	}
	return sortedLines(out, strangersSeen())
}

// strangersSeen are the strangers' things as held lists them.
func strangersSeen() []string {
	return []string{"20001: from 10.0.2.31 lookup 10001 of another", "500: from 10.0.2.0/24 lookup 500 of another", "172.16.0.0/12 dev eth0 of another",
		"192.0.2.0/24 dev eth0 table 10001 of another"}
}

func sortedLines(lists ...[]string) []string {
	out := slices.Concat(lists...)
	slices.Sort(out)
	return out
}

// held is what the kernel has, of ours and of the strangers', as ip(8) tells it.
func (h *history) held() (out []string) {
	text, _ := runOn(h.c.Instance(), "ip -N -4 -o addr; ip -N -4 route show table all; ip -N -4 rule")
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		value := func(key string) string {
			if i := slices.Index(f, key); i >= 0 && i+1 < len(f) {
				return f[i+1]
			}
			return ""
		}
		with := func(keys ...string) (s string) {
			for _, k := range keys {
				if v := value(k); v != "" && !(k == "table" && v == "254") {
					s += " " + k + " " + v
				}
			}
			return s
		}
		tail := ""
		if p := cmp.Or(value("proto"), value("protocol")); p != "236" {
			tail = " of another"
		}
		switch {
		case value("inet") != "":
			if value("metric") == "23600000" {
				out = append(out, f[1]+" "+value("inet"))
			}
		case strings.HasSuffix(f[0], ":"):
			if !slices.Contains([]string{"0:", "32766:", "32767:"}, f[0]) {
				out = append(out, f[0]+with("from", "lookup")+tail)
			}
		case value("table") != "255" && value("proto") != "2" && !(tail != "" && f[0] == "default"):
			out = append(out, f[0]+with("via", "dev", "table", "metric")+tail)
		}
	}
	slices.Sort(out)
	return out
}
