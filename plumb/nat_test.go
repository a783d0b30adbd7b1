package plumb

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"testing"

	"ec2net/metadata"
)

func TestWantNAT(t *testing.T) {
	prefix := netip.MustParsePrefix
	with := func(change func(*Input)) Input {
		in := ours(iface(func(*metadata.Interface) {}))
		in.NAT = []NAT{{prefix("10.0.3.0/24"), "eth3"}, {prefix("10.9.0.0/16"), "eth3"}}
		change(&in)
		return in
	}
	inside := func(change func(*Input)) Input {
		return with(func(in *Input) {
			in.NAT, in.Inside = nil, []netip.Prefix{prefix("10.9.0.0/16")}
			change(in)
			in.Have.Leaving = natRules(in)
		})
	}
	const clamp = `chain forward { type filter hook forward priority -150;` +
		` iif "eth1" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu; oif "eth1" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu; };`
	was := func(on bool) *Baseline { return &Baseline{Forwarding: &on} }
	parts := only("pref 30", "table inet", "forwarding", "10.9.0.0", "10.0.3.0", "!", "10.0.2.0/24 dev eth1 scope link src 10.0.2.37\n")
	check(t, []golden{
		{"nothing", with(func(in *Input) { in.NAT = nil }), parts, ""},
		{"outside", with(func(*Input) {}), parts, `
+ table inet ec2net-10001 { chain protocol-236 { }; ` + clamp + ` chain postrouting { type nat hook postrouting priority 100; oif "eth1" ip saddr 10.0.3.0/24 masquerade; oif "eth1" ip saddr 10.9.0.0/16 masquerade; }; }
+ rule from 10.0.3.0/24 iif eth3 fwmark 10001/0 lookup main suppress_prefixlength 7 pref 30010
+ rule from 10.9.0.0/16 iif eth3 fwmark 10001/0 lookup main suppress_prefixlength 7 pref 30010
+ rule from 10.0.3.0/24 iif eth3 lookup 10001 pref 30020
+ rule from 10.9.0.0/16 iif eth3 lookup 10001 pref 30020
~ sysctl net/ipv4/conf/eth1/forwarding=1`},
		{"the table's name is another program's: nothing at all", with(func(in *Input) { in.Have.TakenTables = []uint32{10001} }), parts,
			`! table inet ec2net-10001: it belongs to another program and is left alone (to remove it: nft delete table inet ec2net-10001)`},
		{"inside, behind the gateway", inside(func(*Input) {}), parts, `
+ route 10.9.0.0/16 via 10.0.2.1 dev eth1 src 10.0.2.37 metric 10001
+ rule from 10.9.0.0/16 iif eth1 fwmark 10001/0 unreachable pref 30030
~ sysctl net/ipv4/conf/eth1/forwarding=1`},
		{"inside, and the interface that it leaves by is not ready", with(func(in *Input) { in.NAT, in.Inside = nil, []netip.Prefix{prefix("10.0.2.128/25")} }), parts, "+ rule from 10.0.2.128/25 iif eth1 fwmark 10001/0 unreachable pref 30030"},
		{"inside, and the interface that it leaves by was set down", with(func(in *Input) {
			in.NAT, in.Inside, in.Baseline, in.Have.Link.Forwarding = nil, []netip.Prefix{prefix("10.0.2.128/25")}, was(false), true
		}), parts, "+ rule from 10.0.2.128/25 iif eth1 fwmark 10001/0 unreachable pref 30030\n~ sysctl net/ipv4/conf/eth1/forwarding=0"},
		{"inside, and it was on before", with(func(in *Input) {
			in.NAT, in.Inside, in.Baseline, in.Have.Link.Forwarding = nil, []netip.Prefix{prefix("10.0.2.128/25")}, was(true), true
		}), parts, "+ rule from 10.0.2.128/25 iif eth1 fwmark 10001/0 unreachable pref 30030"},
		{"inside, on the link", inside(func(in *Input) { in.Inside[0] = prefix("10.0.2.128/25") }), parts, "+ rule from 10.0.2.128/25 iif eth1 fwmark 10001/0 unreachable pref 30030\n~ sysctl net/ipv4/conf/eth1/forwarding=1"},
		{"inside, on the link, and main has nothing of the interface", inside(func(in *Input) { in.Inside[0], in.MainTable = prefix("10.0.2.128/25"), false }), only("forwarding", "10.0.2.128"), `
+ route 10.0.2.128/25 dev eth1 scope link src 10.0.2.37 metric 10001
+ rule from 10.0.2.128/25 iif eth1 fwmark 10001/0 unreachable pref 30030
~ sysctl net/ipv4/conf/eth1/forwarding=1`},
		{"inside of the primary interface", first(func(in *Input) {
			in.Inside = []netip.Prefix{prefix("10.9.0.0/16")}
			in.Have.Leaving = natRules(in)
		}), parts, `
+ route 10.9.0.0/16 via 10.0.0.1 dev eth0 src 10.0.0.29 metric 10000
+ rule from 10.9.0.0/16 iif eth0 fwmark 10000/0 unreachable pref 30030
~ sysctl net/ipv4/conf/eth0/forwarding=1`},
		{"switched off", with(func(in *Input) { in.NAT, in.Baseline, in.Have.Link.Forwarding = nil, was(false), true }), parts, "~ sysctl net/ipv4/conf/eth1/forwarding=0"},
		{"switched off, and it was on", with(func(in *Input) { in.NAT, in.Baseline, in.Have.Link.Forwarding = nil, was(true), true }), parts, ""},
		{"switched off, and all interfaces forward by now", with(func(in *Input) {
			in.NAT, in.Baseline, in.Have.Link.Forwarding, in.Have.forwardsAll = nil, was(false), true, true
		}), parts, ""},
		{"somebody else has it on", with(func(in *Input) { in.NAT, in.Have.Link.Forwarding = nil, true }), parts, ""},
	})
}

// natRules are the rules by which another interface takes on what arrives by this one.
func natRules(in *Input) (out []Rule) {
	for _, p := range in.Inside {
		out = append(out, Rule{Pref: prefLeave, From: p, Iif: in.Have.Name, Table: Table(7)})
	}
	return out
}

// In the kernel: written, read back unchanged, put right again whatever is undone, and removed exactly.
func TestNATInKernel(t *testing.T) {
	for name, tt := range map[string]struct {
		before string // forwarding of the interface
		all    string // ip_forward, set while it holds
		after  string
	}{
		"off before": {"0", "", "0"}, "on before": {"1", "", "1"}, "all interfaces forward since": {"0", "1", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			secondHost(t)
			sysctl(t, "ipv4/conf/eth1/forwarding", tt.before)
			sysctl(t, "ipv4/conf/eth2/forwarding", "1") // the other interface's keeper does that
			l := open(t, "eth1")
			before := found(t, l)
			on := tt.before == "1"
			before.Forwarding, l.scope.Forwarding = &on, true
			world1 := world(t)
			wanting := func(s Snapshot) (State, error) {
				return Want(Input{Interface: eth1(), Have: s, OwnAddress: true, Baseline: before, NAT: []NAT{{netip.MustParsePrefix("10.0.3.0/24"), "eth2"}}})
			}
			for _, damage := range []string{"", "nft flush ruleset", "sysctl -qw net.ipv4.conf.eth1.forwarding=0", "ip rule del pref 30020", "ip rule del pref 30010"} {
				if damage != "" {
					program, args, _ := strings.Cut(damage, " ")
					if out, err := run(program, args); err != nil {
						t.Fatalf("%s: %v %s", damage, err, out)
					}
				}
				if err := l.Reconcile(context.Background(), wanting).Err(); err != nil {
					t.Fatalf("%s: %v", damage, err)
				}
				if again, err := l.Reconcile(context.Background(), wanting).both(); err != nil || len(again) > 0 {
					t.Errorf("%s: the second plan: %v\n%s", damage, err, again)
				}
				if got := forwards(t, "eth1"); got != "1" {
					t.Errorf("%s: forwarding is %s", damage, got)
				}
			}
			if out := ip(t, "route get 198.51.100.1 from 10.0.3.9 iif eth2"); !strings.Contains(out, "dev eth1 table 10001") {
				t.Errorf("from inside: %s", out)
			}
			if tt.all != "" {
				sysctl(t, "ipv4/ip_forward", tt.all)
			}
			if _, err := l.Leave(context.Background(), before); err != nil {
				t.Fatal(err)
			}
			if got := forwards(t, "eth1"); got != tt.after {
				t.Errorf("after Leave forwarding is %s, want %s", got, tt.after)
			}
			same(t, "after Leave", world1)
			if out, _ := run("nft", "list ruleset"); out != "" {
				t.Errorf("after Leave:\n%s", out)
			}
		})
	}
}

func forwards(t *testing.T, iface string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + iface + "/forwarding")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// A stranger's change of forwarding is seen, when it concerns the interface.
func TestWatchForwarding(t *testing.T) {
	secondHost(t)
	l := open(t, "eth1")
	reconcile(t, l, eth1())
	l.scope.Forwarding = true
	w := watch(t, l)
	sysctl(t, "ipv4/conf/eth1/forwarding", "1")
	w.until("")
}
