//go:build system

package system

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// cause is something wrong that is made on purpose. Its commands are shell's.
type cause struct {
	of         string // what it is about: two of the same are not made at once
	make, cure string
	names      []string // what doctor calls it
	silences   []string // the addresses that do not answer meanwhile, as they are asked
	alone      bool     // nothing else happens meanwhile, since it would end it, or be kept from the host
	short      bool     // ec2net has something to add meanwhile, or can not tell
}

// causes are those that a walk makes.
func causes() []cause {
	return []cause{
		{
			of: "ens6", make: "ip rule add pref 4000 from 10.0.2.37 lookup main", cure: "ip rule del pref 4000",
			names: []string{"ens6:rule-in-front"}, silences: []string{"10.0.2.37", "near eth0"},
		},
		{
			of: "eth0", make: "ip rule add pref 4001 from 10.0.0.40 blackhole", cure: "ip rule del pref 4001",
			names: []string{"eth0:rule-in-front"}, silences: []string{"10.0.0.40"},
		},
		{
			of: "ens6's table", make: "ip route add 192.0.2.128/25 dev ens6 table 10001", cure: "ip route del 192.0.2.128/25 table 10001",
			names: []string{"ens6:table-collision"},
		},
		{
			of: "ens6's table", make: "ip route add prohibit 198.18.7.0/24 table 10001", cure: "ip route del prohibit 198.18.7.0/24 table 10001",
			names: []string{"ens6:table-collision"},
		},
		{
			of: "ens6's rules", make: "ip rule add pref 20001 from 192.0.2.9 lookup main", cure: "ip rule del pref 20001 from 192.0.2.9",
			names: []string{"ens6:rule-collision"},
		},
		{
			of: "ens6's addresses", make: "ip addr add 10.0.2.222/32 dev ens6", cure: "ip addr del 10.0.2.222/32 dev ens6",
			names: []string{"ens6:extra-address"},
		},
		{
			of: "main", make: "ip route add default via 10.0.2.1 dev ens6 metric 50", cure: "ip route del default via 10.0.2.1 dev ens6 metric 50",
			names: []string{"ens6:main-default"}, alone: true, // a tunnel that starts would take this way
		},
		{
			of: "metadata", make: "ip rule add pref 3999 to 169.254.169.254 prohibit", cure: "ip rule del pref 3999",
			names: []string{"metadata-route"}, alone: true, short: true,
		},
		{
			of: "ens6's unit", make: "systemctl stop ec2net-ifup@ens6", cure: "systemctl start ec2net-ifup@ens6",
			names: []string{"ens6:unit"}, alone: true,
		},
		{
			// As a manager does that thinks the address its own, while nobody puts it back.
			of: "ens6's unit", make: "systemctl stop ec2net-ifup@ens6; ip addr del 10.0.2.101/32 dev ens6", cure: "systemctl start ec2net-ifup@ens6",
			names: []string{"ens6:address", "ens6:unit"}, silences: []string{"10.0.2.101"}, alone: true, short: true,
		},
	}
}

// some are one cause or two, about different things.
func some(rnd *rand.Rand) (list []cause) {
	for range 1 + rnd.IntN(2) {
		c := causes()[rnd.IntN(len(causes()))]
		if !slices.ContainsFunc(list, func(o cause) bool { return o.of == c.of }) {
			list = append(list, c)
		}
	}
	return list
}

// wrong makes causes, has doctor name them and no more while, it may be, something else happens, and ends them one by
// one.
func (w *walk) wrong() {
	w.t.Helper()
	list := some(w.rnd)
	alone := slices.ContainsFunc(list, func(c cause) bool { return c.alone })
	for i, c := range list {
		w.sh(c.make)
		w.suffer(c.make, list[:i+1])
	}
	if !alone {
		what := w.happens()
		w.suffer(what+", while something is wrong", list)
	}
	w.rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	for i, c := range list {
		w.sh(c.cure)
		w.suffer(c.cure, list[i+1:])
	}
}

// suffer waits until every address answers but those that the causes silence, and doctor names the causes.
func (w *walk) suffer(what string, list []cause) {
	w.t.Helper()
	var names []string
	w.dead, w.short = nil, false
	for _, c := range list {
		names, w.dead, w.short = append(names, c.names...), append(w.dead, c.silences...), w.short || c.short
	}
	w.act(what, func() {})
	slices.Sort(names)
	w.named(what, slices.Compact(names))
	w.works()
}

// meddle takes away what is ec2net's, or what the cloud granted, as a manager or a script does: it is put back.
func (w *walk) meddle() string {
	w.t.Helper()
	do := []string{"ip addr del 10.0.2.101/32 dev ens6", "ip addr del 10.0.0.40/32 dev eth0", "ip rule del pref 20001", "ip rule del pref 10000",
		"ip route flush table 10001", "ip route flush table 10000"}[w.rnd.IntN(6)]
	w.try("sh", "-c", do) // another one may have taken it off just now
	return do
}

// kill ends the process that keeps an interface, as a crash or an operator does: systemd starts it again.
func (w *walk) kill() string {
	w.t.Helper()
	unit := []string{"ec2net-ifup@eth0", "ec2net-ifup@ens6"}[w.rnd.IntN(2)]
	before := w.unit(unit, "MainPID")
	command := []string{"kill -9 " + before, "systemctl kill --signal=KILL " + unit}[w.rnd.IntN(2)]
	w.sh("systemctl reset-failed; " + command) // the unit's limit is not what is tried here
	w.until(limit, said(unit+" runs again"), func() bool {
		now := w.unit(unit, "MainPID")
		return now != before && now != "0" && w.unit(unit, "ActiveState") == "active"
	})
	return fmt.Sprintf("%s (%s)", command, strings.TrimPrefix(unit, "ec2net-ifup@"))
}
