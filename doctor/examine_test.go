package doctor

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// wrong lists what is wrong: "fail kernel, warn arp eth1".
func wrong(r Report) string {
	var out []string
	for _, f := range r.Findings {
		if f.Verdict != OK {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", f.Verdict, f.ID, f.Interface)))
		}
	}
	return strings.Join(out, ", ")
}

// well is a host with a primary interface and a second one, as the kernel of the worlds has them.
func well() Facts {
	f := Facts{FIB: host(), Cloud: metadata.CloudEC2, Kernel: "6.18.44", Now: time.Unix(1e9, 0), Gaps: map[string]string{}}
	iface := func(name string, index int, primary bool, a, subnet string) Interface {
		c := Interface{Name: name, Index: index, MAC: metadata.MAC{2, 0, 0, 0, 0, byte(index)}, Managed: true, Primary: primary, Source: FromMetadata, SetUp: true}
		c.Granted = metadata.Interface{MAC: c.MAC, Addrs4: metadata.Is([]netip.Addr{addr(a)}), Subnets4: metadata.Is([]netip.Prefix{prefix(subnet)})}
		c.Have.Link.Up, c.Have.Carrier = true, true
		return c
	}
	f.Interfaces = []Interface{iface("eth0", 2, true, "10.0.0.29", "10.0.0.0/24"), iface("eth1", 3, false, "10.0.2.37", "10.0.2.0/24")}
	f.FIB.Links[1].MAC, f.FIB.Links[2].MAC = f.Interfaces[0].MAC, f.Interfaces[1].MAC
	return f
}

// fell is what was decided for IPv6 alone.
func fell(s state.EgressState, why state.EgressReason) *state.Egress {
	return &state.Egress{State: "IPv6 …", Decided6: state.EgressDecision{State: s, Reason: why}}
}

// tunnel has main lead to a destination by a device of no cloud's, and eth1's answers go there.
func (f *Facts) tunnel(dst string) {
	f.FIB.Links = append(f.FIB.Links, Link{Name: "tun0", Index: 9, Kind: "tun"})
	f.FIB.Routes = append(f.FIB.Routes, via(254, dst, "", 9))
	f.Interfaces[1].Probes = []Probe{{Src: addr("10.0.2.37"), Peer: addr("192.0.2.1"), Leaves: Answer{End: Forward, Device: 9}, Enters: Answer{End: Local}}}
}

// What no world of the lab can show.
func TestExamine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*Facts)
		want   string
	}{
		{"well", func(*Facts) {}, ""},
		{"nothing at all", func(f *Facts) { *f = Facts{Kernel: "6.1"} }, ""},
		{"a unit that failed", func(f *Facts) { f.Interfaces[1].Unit, f.Interfaces[1].State = "ec2net-ifup@eth1.service", "failed" }, "warn unit eth1"},
		{"a unit that was stopped", func(f *Facts) { f.Interfaces[1].Unit, f.Interfaces[1].State = "ec2net-ifup@eth1.service", "inactive" }, "warn unit eth1"},
		{"a unit that is masked", func(f *Facts) { f.Interfaces[1].Unit, f.Interfaces[1].State = "ec2net-ifup@eth1.service", "masked" }, "warn unit eth1"},
		{"a unit that runs", func(f *Facts) { f.Interfaces[1].Unit, f.Interfaces[1].State = "ec2net-ifup@eth1.service", "active" }, ""},
		{"no cloud", func(f *Facts) { *f = Facts{Kernel: "6.1", Cloud: metadata.CloudNone} }, "unknown cloud"},
		{"the primary's default is gone, and another's is there", func(f *Facts) { f.FIB.Routes[0] = via(254, "0.0.0.0/0", "10.0.2.1", 3) }, "fail main-default eth0"},
		{"another's default comes first", func(f *Facts) {
			f.FIB.Routes[0].Metric = 100
			f.FIB.Routes = append(f.FIB.Routes, via(254, "0.0.0.0/0", "10.0.2.1", 3))
		}, "fail main-default eth1"},
		{"an address that the cloud moved", func(f *Facts) {
			f.Interfaces[1].Have.Addrs = []plumb.Addr{{Prefix: prefix("10.0.0.29/24")}}
		}, "warn moved-address eth1"},
		{"the oldest kernel", func(f *Facts) { f.Kernel = "4.18.0-553.el8_10.x86_64" }, ""},
		{"too old", func(f *Facts) { f.Kernel = "4.17.19" }, "fail kernel"},
		{"much too old", func(f *Facts) { f.Kernel = "3.10.0-1160.el7" }, "fail kernel"},
		{"no kernel", func(f *Facts) { f.Kernel = "GNU" }, "unknown kernel"},
		{"ARP flux where the fabric does not mind", func(f *Facts) { f.Interfaces[1].Granted.Subnets4 = f.Interfaces[0].Granted.Subnets4 }, ""},
		{"ARP flux", func(f *Facts) {
			f.Cloud, f.Interfaces[1].Granted.Subnets4 = "bare", f.Interfaces[0].Granted.Subnets4
		}, "warn arp eth0, warn arp eth1"},
		{"ARP flux, kept off", func(f *Facts) {
			f.Cloud, f.Interfaces[1].Granted.Subnets4 = "bare", f.Interfaces[0].Granted.Subnets4
			f.FIB.Links[1].Conf.ARPIgnore, f.FIB.Links[2].Conf.ARPFilter = 1, 1
		}, ""},
		{"nothing to read", func(f *Facts) { f.Gaps["lease"] = "no" }, "unknown lease"},
		{"a value that is not believed", func(f *Facts) { f.Interfaces[1].Problems = []error{errors.New("no")} }, "warn values eth1"},
		{"left alone and kept", func(f *Facts) {
			f.Interfaces[1].Managed, f.Interfaces[1].Alone, f.Interfaces[1].AgentPID = false, true, 7
		}, "warn unmanaged eth1"},
		{"left alone and not clean", func(f *Facts) { f.Interfaces[1].Managed, f.Interfaces[1].Alone = false, true }, "warn unmanaged eth1"},
		{"not ready", func(f *Facts) { f.Interfaces[1].Waiting = "waiting for DHCP" }, "warn set-up eth1"},
		{"an old reading", func(f *Facts) { f.Interfaces[1].AgentPID, f.Interfaces[1].ReadAt = 7, f.Now.Add(-time.Hour) }, "warn reading-age eth1"},
		{"an old reading, nobody's", func(f *Facts) { f.Interfaces[1].ReadAt = f.Now.Add(-time.Hour) }, ""},
		{"an old reading is the metadata's fault", func(f *Facts) {
			f.Interfaces[1].AgentPID, f.Interfaces[1].ReadAt = 7, f.Now.Add(-time.Hour)
			f.Metadata.Err = metadata.ErrUnavailable
		}, "fail metadata"},
		{"a lease without end", func(f *Facts) {
			f.Interfaces[1].Leasing, f.Interfaces[1].Lease = "native", &dhcp.Lease{Expires: dhcp.Infinite}
		}, ""},
		{"a broken file stops the keeper", func(f *Facts) { f.Config, f.Interfaces[1].Died = errors.New("ec2net.toml:1:1: no"), true }, "fail config"},
		{"Azure's metadata by a secondary", func(f *Facts) {
			f.Cloud, f.Metadata = metadata.CloudAzure, Metadata{Server: addr("169.254.169.254"), Err: metadata.ErrUnavailable, Route: &Answer{End: Forward, Device: 3}}
		}, "fail metadata-route"},
		{"EC2's metadata by a secondary", func(f *Facts) {
			f.Metadata = Metadata{Server: addr("169.254.169.254"), Err: metadata.ErrUnavailable, Route: &Answer{End: Forward, Device: 3}}
		}, "fail metadata"},
		{"one interface is asked about, and the metadata's way leads by another", func(f *Facts) {
			f.Interfaces = f.Interfaces[1:]
			f.Metadata = Metadata{Server: addr("169.254.169.254"), Err: metadata.ErrUnavailable, Route: &Answer{End: Forward, Device: 2}}
		}, "fail metadata"},
		{"nothing is known of any interface, and Azure's metadata is silent", func(f *Facts) {
			f.Cloud, f.Interfaces = metadata.CloudAzure, nil
			f.Metadata = Metadata{Server: addr("169.254.169.254"), Err: metadata.ErrUnavailable, Route: &Answer{End: Forward, Device: 2}}
		}, "fail metadata"},
		{"the first interface is a bridge's", func(f *Facts) {
			f.FIB.Links[1].Master, f.Interfaces = 9, f.Interfaces[1:]
			f.FIB.Links = append(f.FIB.Links, Link{Name: "br0", Index: 9, Kind: "bridge"})
			f.Metadata = Metadata{Server: addr("169.254.169.254"), Err: metadata.ErrUnavailable, Route: &Answer{End: Forward, Device: 9}}
		}, "fail metadata"},
		{"the metadata's way leads into a bridge of nobody's", func(f *Facts) {
			f.FIB.Links = append(f.FIB.Links, Link{Name: "docker0", Index: 9, Kind: "bridge"})
			f.Metadata = Metadata{Server: addr("169.254.169.254"), Err: metadata.ErrUnavailable, Route: &Answer{End: Forward, Device: 9}}
		}, "fail metadata-route"},
		{"half of the Internet, into a tunnel", func(f *Facts) { f.tunnel("128.0.0.0/1") }, "fail leave eth1"},
		{"a network that the host has behind a tunnel", func(f *Facts) { f.tunnel("192.0.0.0/8") }, ""},
		{"an interface that is left alone is not judged", func(f *Facts) { f.Interfaces[1].Managed, f.Interfaces[1].Have.Link.Up = false, false }, ""},
		{"no default route", func(f *Facts) { f.FIB.Routes = f.FIB.Routes[1:] }, "fail main-default eth0"},
		{"networkd keeps rules, not routes", func(f *Facts) { f.Networkd = Networkd{Running: true, DropsRoutes: true} }, "warn networkd"},
		{"an interface that cannot be read", func(f *Facts) {
			f.Interfaces[1] = Interface{Name: "eth1", Index: 3, Unread: "operation not permitted"}
		}, "unknown readable eth1"},
		{"a sandbox that is off", func(f *Facts) { f.Interfaces[1].AgentPID, f.Interfaces[1].Sandbox = 7, Sandbox{Unit: true} }, "warn sandbox eth1"},
		{"the metadata throttles", func(f *Facts) {
			f.Metadata = Metadata{Server: addr("169.254.169.254"), Err: &metadata.Error{Key: "x", Status: 429, Err: metadata.ErrUnavailable}, Route: &Answer{End: Forward, Device: 9}}
		}, "unknown metadata"},
		{"the metadata has an error", func(f *Facts) {
			f.Metadata = Metadata{Server: addr("169.254.169.254"), Err: &metadata.Error{Key: "x", Status: 503, Err: metadata.ErrUnavailable}, Route: &Answer{End: Forward, Device: 9}}
		}, "fail metadata"},
		{"something left out", func(f *Facts) { f.Interfaces[1].Refused = errors.New("no") }, "warn left-out eth1"},
		{"[nat] that cannot be", func(f *Facts) { f.NAT = []error{errors.New("no"), errors.New("neither")} }, "warn nat"},
		{"Docker drops what [nat] passes on", func(f *Facts) {
			f.Chains = []Chain{
				{Family: "ip", Table: "filter", Name: "FORWARD", Drops: true}, {Family: "ip6", Table: "filter", Name: "FORWARD", Drops: true}, {Family: "inet", Table: "x", Name: "y"},
			}
			f.Interfaces[1].Want.Rules = []plumb.Rule{natMain("eth0")}
		}, "fail forward"},
		{"Docker drops, and nothing is passed on", func(f *Facts) { f.Chains = []Chain{{Family: "ip", Table: "filter", Name: "FORWARD", Drops: true}} }, ""},
		{"a sandbox", func(f *Facts) {
			f.Interfaces[1].AgentPID, f.Interfaces[1].Sandbox = 7, Sandbox{Unit: true, NoNewPrivileges: true, Filtered: true}
		}, ""},
		{"by hand there is none", func(f *Facts) { f.Interfaces[1].AgentPID = 7 }, ""},
		{"a stopped process", func(f *Facts) { f.Interfaces[1].AgentPID, f.Interfaces[1].Stopped = 7, "process 7 is stopped" }, "fail process eth1"},
		{"a change that was undone", func(f *Facts) { f.Interfaces[1].RolledBack = []string{"the metadata"} }, "fail rolled-back eth1"},
		{"traffic that fell back", func(f *Facts) { f.Interfaces[1].Egress = fell(state.EgressWithdrawn, state.EgressGateway) }, "warn egress eth1"},
		{"traffic that no process moves again", func(f *Facts) { f.Interfaces[1].Egress = fell(state.EgressBlocked, state.EgressLink) }, "warn egress eth1"},
		{"traffic that leaves", func(f *Facts) { f.Interfaces[1].Egress = fell(state.EgressActive, "") }, ""},
		{"traffic that leaves by a preferred one", func(f *Facts) { f.Interfaces[1].Egress = fell(state.EgressStandby, "") }, ""},
		{"traffic that is about to leave", func(f *Facts) { f.Interfaces[1].Egress = fell(state.EgressPending, "") }, ""},
		{"[egress] of no interface", func(f *Facts) { f.Egress = []error{errors.New("no")} }, "warn egress"},
		{"another program", func(f *Facts) { f.Programs = []Program{{Name: "x"}} }, "warn program"},
		{"another program, and no interface", func(f *Facts) { f.Programs, f.Interfaces = []Program{{Name: "x"}}, nil }, ""},
		{"another program, and no interface of ours", func(f *Facts) {
			f.Programs = []Program{{Name: "x"}}
			f.Interfaces[0].Managed, f.Interfaces[1].Managed = false, false
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := well()
			tt.change(&f)
			r := Examine(f)
			if got := wrong(r); got != tt.want {
				t.Errorf("found %q, want %q", got, tt.want)
			}
			var b strings.Builder
			if err := r.Write(&b, false); err != nil || b.Len() == 0 {
				t.Errorf("report: %v %q", err, b.String())
			}
		})
	}
}

// What a process would do by itself is the operator's to do where none keeps the interface.
func TestRemedyWithoutKeeper(t *testing.T) {
	t.Parallel()
	for keeper, want := range map[int][]string{
		0: {"once the metadata answers: ec2net up eth1", "remove the cause shown above; then ec2net up eth1", "fix the cause shown above; then ec2net up eth1"},
		7: {"wait: it moves to its own table once the metadata answers", "remove the cause shown above; then systemctl reload ec2net-ifup@eth1",
			"fix the cause shown above; ec2net retries by itself"},
	} {
		c := Interface{Name: "eth1", AgentPID: keeper, Degraded: "degraded", RolledBack: []string{"the metadata"}, Egress: fell(state.EgressBlocked, state.EgressLink)}
		for i, f := range [][]Finding{checkDegraded(Facts{}, c), checkRolledBack(Facts{}, c), checkEgress(Facts{}, c)} {
			if f[0].Remedy != want[i] {
				t.Errorf("process %d: %q, want %q", keeper, f[0].Remedy, want[i])
			}
		}
	}
}

// Every check may be a cause or a consequence only by a name that exists, and no cause explains itself.
func TestCausesEnd(t *testing.T) {
	t.Parallel()
	known := []string{"program"}
	for _, c := range checks() {
		known = append(known, c.id)
	}
	known = append(known, // of the checks plan, lease and enter
		"address", "table", "main-route", "guard", "source-rule", "leftover", "group", "altname", "mtu", "renewal", "rp_filter", "egress-rule", "packets", "mark-rule", "src-valid-mark", "forwarding", "nat-rule")
	for _, id := range known {
		seen := []string{}
		for next := []string{id}; len(next) > 0; next = next[1:] {
			for _, c := range causesOf(next[0]) {
				if c == id {
					t.Errorf("%s explains itself", id)
				}
				if !slices.Contains(known, c) {
					t.Errorf("%s is explained by %s, which no check finds", id, c)
				}
				if !slices.Contains(seen, c) {
					seen, next = append(seen, c), append(next, c)
				}
			}
		}
	}
}

// A cause that is about one address does not explain another's trouble.
func TestSortOutByAddress(t *testing.T) {
	t.Parallel()
	f := func(id string, a string) Finding {
		return Finding{ID: id, Verdict: Fail, Interface: "eth1", Summary: a, about: []netip.Addr{addr(a)}}
	}
	got := sortOut([]Finding{f("leave", "10.0.2.1"), f("leave", "10.0.2.2"), f("source-rule", "10.0.2.1"), f("enter", "10.0.2.1")})
	if s := wrong(Report{got}); s != "fail leave eth1, fail source-rule eth1" || len(got[1].Consequences) != 2 {
		t.Errorf("%s: %+v", s, got)
	}
}

func TestNetworkdConfiguration(t *testing.T) {
	t.Parallel()
	const says = "[Network]\nManageForeignRoutes=no\n# ManageForeignRoutingPolicyRules=yes\nManageForeignRoutingPolicyRules = off\n"
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	for _, tt := range []struct {
		name          string
		files         fstest.MapFS
		rules, routes bool
	}{
		{"none", fstest.MapFS{}, true, true},
		{"main file", fstest.MapFS{"etc/systemd/networkd.conf": file(says)}, false, false},
		{"another section", fstest.MapFS{"etc/systemd/networkd.conf": file("[DHCPv4]\n" + strings.Replace(says, "[Network]", "", 1))}, true, true},
		{"drop-in", fstest.MapFS{"usr/lib/systemd/networkd.conf.d/ec2net.conf": file(says)}, false, false},
		{"hidden drop-in", fstest.MapFS{"usr/lib/systemd/networkd.conf.d/ec2net.conf": file(says), "etc/systemd/networkd.conf.d/ec2net.conf": file("")}, true, true},
		{"the later name wins", fstest.MapFS{
			"usr/lib/systemd/networkd.conf.d/ec2net.conf": file(says),
			"etc/systemd/networkd.conf.d/zz.conf":         file("[Network]\nManageForeignRoutes=yes\n"),
		}, false, true},
		{"nonsense", fstest.MapFS{"etc/systemd/networkd.conf": file("[Network\nManageForeignRoutes\n=no\n[Network]\nManageForeignRoutes=perhaps\n")}, true, true},
	} {
		if n := ReadNetworkd(tt.files, dhcp.ReadPrograms(tt.files)); n.DropsRules != tt.rules || n.DropsRoutes != tt.routes || n.Running {
			t.Errorf("%s: %+v, want rules %v, routes %v", tt.name, n, tt.rules, tt.routes)
		}
	}
}

func TestFindPrograms(t *testing.T) {
	t.Parallel()
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	root := fstest.MapFS{
		"usr/lib/udev/rules.d/90-cloud-init-hook-hotplug.rules": file(""), "lib/udev/rules.d/99-vpc-policy-routes.rules": file(""),
		"etc/cni/net.d/10-flannel.conflist": file(`{"type":"flannel"}`), "etc/systemd/system/timers.target.wants/nm-cloud-setup.timer": file(""),
	}
	names := []string{}
	for _, p := range FindPrograms(root) {
		names = append(names, p.Name)
	}
	if want := []string{"cloud-init", "amazon-ec2-net-utils", "nm-cloud-setup"}; !slices.Equal(names, want) {
		t.Errorf("found %q, want %q", names, want)
	}
}

// A report stays within its lines, the worst is first, and a long list of evidence is cut.
func TestReport(t *testing.T) {
	t.Parallel()
	long := Finding{ID: "table", Verdict: Warn, Interface: "eth1", Summary: strings.Repeat("word ", 40), Remedy: strings.Repeat("do ", 60)}
	all := []Finding{{ID: "x"}, {ID: "y", Verdict: Unknown, Summary: "no"}, {ID: "kernel", Verdict: Warn, Summary: "old"}}
	for i := range 20 {
		long.Evidence = append(long.Evidence, strings.Repeat("evidence ", 12))
		all = append(all, Finding{ID: "leave", Verdict: Fail, Interface: "eth1", Summary: fmt.Sprintf("answers from %d do not leave by it", i)})
	}
	var b strings.Builder
	r := Report{sortOut(append(all, long))}
	if err := r.Write(&b, false); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if len(line) > Width+1 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	for _, want := range []string{"warn    old [kernel]", "and 16 more", "answers from 0 do not leave by it [leave], and 19", "1 failed, 1 warned, 1 unknown"} {
		if !strings.Contains(strings.Join(strings.Fields(b.String()), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if !strings.HasPrefix(b.String(), "fail ") {
		t.Errorf("the worst is not first:\n%s", b.String())
	}
}

// natMain is the rule by which what [nat] passes on is known.
func natMain(in string) plumb.Rule {
	return plumb.Rule{Pref: 30010, Iif: in, From: prefix("10.0.3.0/24")}
}
