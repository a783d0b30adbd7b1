package doctor

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ec2net/metadata"
)

// checkConfig fails on a configuration file that does not parse: no process starts with it, and those that run go on with what
// they read before.
func checkConfig(f Facts) []Finding {
	if f.Config == nil {
		return nil
	}
	return []Finding{{
		ID: "config", Verdict: Fail, Summary: "the configuration file has an error: ec2net cannot start",
		Evidence: strings.Split(f.Config.Error(), "\n"), Remedy: "correct the file",
	}}
}

// checkCloud: where no cloud is recognised, no interface is looked at, which is not to be taken for health.
func checkCloud(f Facts) []Finding {
	if f.Cloud != metadata.CloudNone {
		return nil
	}
	out := Finding{ID: "cloud", Verdict: Unknown, Summary: "no cloud is recognised here: no interface was checked"}
	if f.Recorded != "" {
		out.Evidence = []string{"interfaces were set up for " + string(f.Recorded)}
		out.Remedy = "ec2net --cloud " + string(f.Recorded) + " doctor"
	}
	return []Finding{out}
}

// oldest is the first kernel that keeps the protocol of rules and the metric of addresses (README).
const oldestMajor, oldestMinor = 4, 18

// checkKernel compares the release that uname(2) gives, such as "4.18.0-553.el8", with the oldest kernel that works.
func checkKernel(f Facts) []Finding {
	var major, minor int
	if n, _ := fmt.Sscanf(f.Kernel, "%d.%d", &major, &minor); n != 2 {
		return []Finding{{ID: "kernel", Verdict: Unknown, Summary: fmt.Sprintf("cannot parse the kernel's release %.40q", f.Kernel)}}
	}
	if major > oldestMajor || (major == oldestMajor && minor >= oldestMinor) {
		return nil
	}
	return []Finding{{
		ID: "kernel", Verdict: Fail, Summary: "the kernel is too old: it does not store the protocol that marks ec2net's rules",
		Evidence: []string{"Linux " + f.Kernel}, Remedy: fmt.Sprintf("boot Linux %d.%d or newer", oldestMajor, oldestMinor),
	}}
}

// checkMetadata tells a metadata service that is silent from one that is switched off, and from one that asks for patience (429),
// which says nothing of the host: Azure allows a machine 5 requests a second ("Rate limiting" of the Azure Instance Metadata
// Service).
func checkMetadata(f Facts) []Finding {
	err := f.Metadata.Err
	if err == nil {
		return nil
	}
	var refused *metadata.Error
	if errors.As(err, &refused) && refused.Status == http.StatusTooManyRequests {
		return []Finding{{ID: "metadata", Verdict: Unknown, Summary: "the instance metadata rate-limits requests (HTTP 429)", Evidence: []string{err.Error()}, Remedy: "run the doctor again in a minute"}}
	}
	out := Finding{ID: "metadata", Verdict: Fail, Summary: "the instance metadata does not answer", Evidence: []string{err.Error()}}
	if r := f.Metadata.Route; r != nil {
		out.Evidence = append(out.Evidence, fmt.Sprintf("route to %s: %s", f.Metadata.Server, f.FIB.answer(*r)))
	}
	out.Remedy = "look for a firewall rule against the metadata's address; what is set up stays"
	if errors.Is(err, metadata.ErrProhibited) {
		out.Remedy = "permit requests to it; what is set up stays"
	}
	if errors.Is(err, metadata.ErrDisabled) {
		out.Summary = "the instance metadata is switched off"
		out.Remedy = "switch it on in the cloud's settings of this machine"
		if how := f.Cloud.Traits().SwitchOn; how != "" {
			out.Remedy = "switch it on: " + how
		}
	}
	return []Finding{out}
}

// checkMetadataRoute: a cloud answers by its own interfaces, and by nothing else.
func checkMetadataRoute(f Facts) []Finding {
	r := f.Metadata.Route
	var answered *metadata.Error
	switch {
	case f.Metadata.Err == nil:
		return f.othersMisrouted()
	case errors.Is(f.Metadata.Err, metadata.ErrProhibited):
		return f.prohibited()
	case r == nil, errors.As(f.Metadata.Err, &answered) && answered.Status != 0, !f.misrouted(*r):
		return nil
	}
	return []Finding{{
		ID: "metadata-route", Verdict: Fail, Summary: fmt.Sprintf("packets to the metadata (%s) leave by an interface where it does not answer", f.Metadata.Server),
		Evidence: f.wayTo(*r, f.Metadata.Out), Remedy: "remove that route or rule",
	}}
}

// prohibited names what of this host forbids requests to the metadata. It is searched for in all tables: a look-up without
// a source, which the first one of connect(2) is, may find another way, such as that of [egress].
func (f Facts) prohibited() []Finding {
	out := Finding{
		ID: "metadata-route", Verdict: Fail, Summary: fmt.Sprintf("this host forbids requests to the metadata (%s)", f.Metadata.Server),
		Remedy: "permit them: ec2net goes by the lease alone until then",
	}
	for _, r := range f.FIB.Routes {
		if r.Type == unix.RTN_PROHIBIT && r.Dst.Contains(f.Metadata.Server) {
			out.Evidence = append(out.Evidence, f.FIB.ofRoute(r).written(f.FIB.text(r)))
			out.Remedy = "remove that route, if the host is to read its metadata: ec2net goes by the lease alone until then"
		}
	}
	for _, r := range f.FIB.Rules {
		if r.Action == unix.FR_ACT_PROHIBIT && r.Six == f.Metadata.Server.Is6() && (!r.To.IsValid() || r.To.Contains(f.Metadata.Server)) {
			out.Evidence = append(out.Evidence, f.FIB.ofRule(r).written(fmt.Sprintf("%d: %s", r.Pref, r)))
		}
	}
	if f.Networkd.IMDS != "" && len(out.Evidence) > 0 {
		out.Evidence = append(out.Evidence, "systemd-imdsd locks the metadata for all other programs: "+f.Networkd.IMDS)
		out.Remedy = "boot with systemd.imds.network=unlocked on the kernel command line; a route that is removed systemd-networkd adds again"
	}
	if len(out.Evidence) == 0 {
		out.Evidence = []string{"no route or rule does: look for a security module, such as SELinux"}
	}
	return []Finding{out}
}

// othersMisrouted: ec2net asks by an interface of the cloud, and other programs go by the routing.
func (f Facts) othersMisrouted() []Finding {
	r := f.Metadata.Others
	if r == nil || f.Metadata.Out == 0 || !f.misrouted(*r) {
		return nil
	}
	return []Finding{{
		ID: "metadata-route", Verdict: Warn,
		Summary:  fmt.Sprintf("other programs cannot reach the metadata (%s); ec2net can, by %s", f.Metadata.Server, f.FIB.name(f.Metadata.Out)),
		Evidence: f.wayTo(*r, 0), Remedy: "if they need it, add a route to it by that interface, or exclude its address from the tunnel",
	}}
}

// wayTo says how packets to the metadata leave, by which rule.
func (f Facts) wayTo(r Answer, out int) []string {
	evidence := []string{f.FIB.answer(r)}
	path := Walk(f.FIB, Packet{Dst: f.Metadata.Server, Out: out})
	if path.Table != 0 {
		rule := path.Steps[len(path.Steps)-1]
		evidence = append(evidence, fmt.Sprintf("by the rule %s, and its route %s",
			f.FIB.ofRule(path.By).written(fmt.Sprintf("%d: %s", rule.Pref, rule.Text)), f.FIB.ofRoute(path.Route).written(f.FIB.text(path.Route))))
	}
	return evidence
}

// misrouted: a way to the metadata that leads to no interface by which it answers. Of an interface that is not known, as
// all others when one is asked about, nothing is said; nor of what stands on one, a bridge or a bond.
func (f Facts) misrouted(r Answer) bool {
	if r.End != Forward {
		return true
	}
	is := func(c Interface) bool { return c.Index == r.Device }
	if i := slices.IndexFunc(f.Interfaces, is); i >= 0 {
		known := slices.ContainsFunc(f.Interfaces, func(c Interface) bool { return c.Primary })
		return !f.Cloud.Traits().EveryInterface && known && !f.Interfaces[i].Primary
	}
	hardware := func(l Link) bool { return l.Kind == "" && !l.Loopback && (l.Index == r.Device || l.Master == r.Device) }
	return f.FIB.link(r.Device).Kind != "veth" && !slices.ContainsFunc(f.FIB.Links, hardware)
}

// checkNetworkd warns of systemd-networkd's default to remove rules and routes that its own files do not name
// (networkd.conf(5), ManageForeignRoutingPolicyRules= and ManageForeignRoutes=).
func checkNetworkd(f Facts) []Finding {
	n := f.Networkd
	if !n.Running || (!n.DropsRules && !n.DropsRoutes) {
		return nil
	}
	what, keys := []string{}, []string{}
	if n.DropsRules {
		what, keys = append(what, "rules"), append(keys, "ManageForeignRoutingPolicyRules=no")
	}
	if n.DropsRoutes {
		what, keys = append(what, "routes"), append(keys, "ManageForeignRoutes=no")
	}
	return []Finding{{
		ID: "networkd", Verdict: Warn,
		Summary:  fmt.Sprintf("systemd-networkd deletes other programs' %s whenever it starts", strings.Join(what, " and ")),
		Evidence: []string{"its configuration lacks " + strings.Join(keys, ", ")},
		Remedy:   "add that to the section [Network] of /etc/systemd/networkd.conf.d/ec2net.conf",
	}}
}

// checkPrograms lists the programs that FindPrograms has found, on a host where ec2net has interfaces to manage at all.
func checkPrograms(f Facts) (out []Finding) {
	for _, p := range f.Programs {
		if slices.ContainsFunc(f.Interfaces, func(c Interface) bool { return c.Managed }) {
			out = append(out, Finding{
				ID: "program", Verdict: Warn, Summary: fmt.Sprintf("%s %s", p.Name, p.Does), Evidence: []string{p.Why}, Remedy: p.Cure,
			})
		}
	}
	return out
}

// checkOrphans lists interfaces of which a record is left, and no device has their MAC address.
func checkOrphans(f Facts) (out []Finding) {
	for _, name := range f.Orphans {
		out = append(out, Finding{
			ID: "orphan", Verdict: Warn, Interface: name, Summary: "the interface is gone, but some of its configuration is left",
			Remedy: "ec2net down " + name,
		})
	}
	return out
}

// checkMissing lists interfaces that the cloud's metadata has and the host has not.
func checkMissing(f Facts) (out []Finding) {
	for _, mac := range f.Missing {
		out = append(out, Finding{
			ID: "absent", Verdict: Warn, Summary: fmt.Sprintf("the cloud has attached %s, but this host has no such interface", mac),
			Remedy: "load its driver, or unplug and plug it in again; an interface in another network namespace, or for EFA only, can be ignored",
		})
	}
	return out
}

// checkRefused: what the configuration says of traffic and cannot be meant on this host is left out.
func checkRefused(f Facts) (out []Finding) {
	refuse := func(id, summary string, list []error) {
		if err := errors.Join(list...); err != nil {
			out = append(out, Finding{ID: id, Verdict: Warn, Summary: summary, Evidence: strings.Split(err.Error(), "\n"), Remedy: "correct the configuration file"})
		}
	}
	refuse("egress", "[egress] cannot be applied on this host", f.Egress)
	refuse("nat", "[nat] cannot be applied on this host", f.NAT)
	return out
}
