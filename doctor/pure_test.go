package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ec2net/plumb"
)

// A packet is asked about only if the host can have to do with it, and one device can be told that it comes in by.
func TestQuestions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ src, dst, in, why string }{
		{"10.0.2.37", "192.0.2.1", "", ""},
		{"192.0.2.1", "10.0.2.37", "", ""},
		{"192.0.2.1", "198.51.100.1", "eth1", ""},
		{"192.0.2.1", "198.51.100.1", "", "name the interface that it comes in by"},
		{"192.0.2.1", "10.0.2.37", "eth7", `no network device "eth7"`},
		{"10.0.2.37", "2001:db8::1", "", "different families"},
		{"0.0.0.0", "10.0.2.37", "", "no packet can come from 0.0.0.0"},
		{"224.0.0.1", "10.0.2.37", "", "no packet can come from 224.0.0.1"},
		{"255.255.255.255", "10.0.2.37", "", "no packet can come from"},
		{"10.0.2.37", "0.0.0.0", "", "no packet can go to"},
		{"10.0.2.37", "224.0.0.1", "", "many hosts"},
		{"10.0.2.37", "255.255.255.255", "", "many hosts"},
	} {
		e, err := Explain(host(), Question{Src: addr(tt.src), Dst: addr(tt.dst), In: tt.in}, host().kernel)
		if tt.why == "" && err == nil && e.String() != "" {
			continue
		}
		if tt.why == "" || !errors.Is(err, ErrQuestion) || !strings.Contains(fmt.Sprint(err), tt.why) {
			t.Errorf("%s to %s by %q: %v, want %q", tt.src, tt.dst, tt.in, err, tt.why)
		}
	}
}

// What keeps two ends from talking with each other, and for whom that is so.
func TestExplainProblems(t *testing.T) {
	t.Parallel()
	question := Question{Src: addr("10.0.2.37"), Dst: addr("192.0.2.1")}
	in := Question{Src: addr("192.0.2.1"), Dst: addr("10.0.2.37")}
	for _, tt := range []struct {
		name   string
		change func(*FIB)
		q      Question
		says   []string // problems, then notes
	}{
		{"by the wrong interface", func(*FIB) {}, question, []string{"10.0.2.37 leaves by eth0, but is eth1's address: the cloud drops it"}},
		{"the answer by another", func(*FIB) {}, in, []string{"10.0.2.37 leaves by eth0, but is eth1's address", "the answer leaves by eth0, but the packet came in by eth1"}},
		{"right", func(f *FIB) {
			f.Rules = slices.Insert(f.Rules, 1, from(100, 80, "10.0.2.37/32"))
			f.Routes = append(f.Routes, via(80, "0.0.0.0/0", "10.0.2.1", 3))
		}, question, nil},
		{"nowhere", func(f *FIB) { f.Routes[0].Type = unix.RTN_BLACKHOLE }, question, []string{"the packet from 10.0.2.37 to 192.0.2.1 goes nowhere: blackhole"}},
		{"not a router", func(*FIB) {}, Question{Src: addr("192.0.2.1"), Dst: addr("198.51.100.1"), In: "eth1"}, []string{"goes nowhere: this host does not forward what comes in there"}},
		{"a router", func(f *FIB) {
			f.Links[1].Conf.Forwarding, f.Links[2].Conf.Forwarding = true, true
		}, Question{Src: addr("192.0.2.1"), Dst: addr("10.0.0.9"), In: "eth1"}, nil},
		{"strict rp_filter", func(f *FIB) { f.Links[2].Conf.RPFilter = 1 }, in, []string{"the packet is dropped as it comes in by eth1", "10.0.2.37 leaves by eth0", "the answer leaves by eth0"}},
		{"into a tunnel", func(f *FIB) {
			f.Links = append(f.Links, Link{Name: "wg0", Index: 9, Kind: "wireguard"})
			f.Routes = append(f.Routes, via(254, "0.0.0.0/1", "", 9), via(254, "128.0.0.0/1", "", 9), via(80, "0.0.0.0/0", "10.0.2.1", 3))
		}, question, []string{"10.0.2.37 leaves by wg0, but is eth1's address: unless NAT translates it there"}},
		{"for one subnet", func(f *FIB) {
			f.Rules = slices.Insert(f.Rules, 1, from(100, 80, "10.0.2.37/32"))
			f.Routes = append(f.Routes, via(80, "0.0.0.0/0", "10.0.2.1", 3), via(80, "10.0.0.0/24", "", 2))
		}, Question{Src: addr("10.0.2.37"), Dst: addr("10.0.0.9")}, []string{"10.0.2.37 leaves by eth0, but is eth1's", "this is so for hosts in 10.0.0.0/24; what 10.0.2.37 sends to other hosts leaves via 10.0.2.1 dev eth1"}},
		{"an address that two have", func(f *FIB) {
			f.Routes = append(f.Routes, Route{Table: 255, Dst: prefix("10.0.2.37/32"), Type: unix.RTN_LOCAL, Hops: []Hop{{Index: 2}}})
			f.Rules = slices.Insert(f.Rules, 1, from(100, 80, "10.0.2.37/32"))
			f.Rules[1].Protocol = plumb.Protocol
			f.Routes = append(f.Routes, via(80, "0.0.0.0/0", "10.0.2.1", 3))
		}, in, []string{"10.0.2.37 is an address of eth0, too; this assumes that the packet comes in by eth1, to which the cloud grants it"}},
	} {
		f := host()
		tt.change(&f)
		e, err := Explain(f, tt.q, f.kernel)
		got := slices.Concat(e.Problems, e.Notes)
		if err != nil || len(got) != len(tt.says) {
			t.Errorf("%s: %v %q, want %q", tt.name, err, got, tt.says)
			continue
		}
		for i, says := range tt.says {
			if !strings.Contains(got[i], says) {
				t.Errorf("%s: %q, want %q", tt.name, got[i], says)
			}
		}
	}
}

// What a rule asks of the ports, the user and the protocol of a packet (fib_rule_match, fib4_rule_match).
func TestSelectors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*Rule)
		packet Packet
		is     bool
	}{
		{"the first port", func(r *Rule) { r.DPort = Ports{80, 90} }, Packet{DPort: 80}, true},
		{"the last port", func(r *Rule) { r.DPort = Ports{80, 90} }, Packet{DPort: 90}, true},
		{"the one before", func(r *Rule) { r.DPort = Ports{80, 90} }, Packet{DPort: 79}, false},
		{"a source port", func(r *Rule) { r.SPort = Ports{53, 53} }, Packet{SPort: 53}, true},
		{"the wrong port", func(r *Rule) { r.SPort = Ports{53, 53} }, Packet{DPort: 53}, false},
		{"a protocol", func(r *Rule) { r.IPProto = unix.IPPROTO_TCP }, Packet{IPProto: unix.IPPROTO_TCP}, true},
		{"another protocol", func(r *Rule) { r.IPProto = unix.IPPROTO_TCP }, Packet{IPProto: unix.IPPROTO_UDP}, false},
		{"not another protocol", func(r *Rule) { r.IPProto, r.Not = unix.IPPROTO_TCP, true }, Packet{IPProto: unix.IPPROTO_UDP}, true},
		{"a user", func(r *Rule) { r.UID = UIDs{1000, 1000, true} }, Packet{UID: 1000}, true},
		{"another user", func(r *Rule) { r.UID = UIDs{1000, 1000, true} }, Packet{UID: 1001}, false},
		{"root, and a rule for root", func(r *Rule) { r.UID = UIDs{0, 0, true} }, Packet{}, true},
		{"under a mask", func(r *Rule) { r.Mark, r.Mask = 0x10, 0xf0 }, Packet{Mark: 0x1f}, true},
		{"not under a mask", func(r *Rule) { r.Mark, r.Mask = 0x10, 0xf0 }, Packet{Mark: 0x20}, false},
		{"type of service", func(r *Rule) { r.TOS = 0x10 }, Packet{TOS: 0x10}, true},
		{"another type of service", func(r *Rule) { r.TOS = 0x10 }, Packet{}, false},
		{"what the host sends comes in by lo", func(r *Rule) { r.IIF = "lo" }, Packet{}, true},
		{"a socket that is bound", func(r *Rule) { r.OIF = "eth1" }, Packet{Out: 3}, true},
		{"a socket that is not", func(r *Rule) { r.OIF = "eth1" }, Packet{}, false},
	} {
		r := to(5, 254)
		tt.change(&r)
		p := tt.packet
		p.Src, p.Dst = addr("10.0.2.37"), addr("192.0.2.1")
		if why := host().mismatch(r, p); (why == "") != tt.is {
			t.Errorf("%s: %q", tt.name, why)
		}
	}
}

// Others' rules are moved behind ours and before main's, in their order, where there is room for all of them.
func TestBehind(t *testing.T) {
	t.Parallel()
	six := from(50, 99, "2001:db8::/64")
	six.Six = true
	for _, tt := range []struct {
		name  string
		there []Rule
		move  []Rule
		says  string
	}{
		{"one", nil, []Rule{from(100, 99, "10.0.2.0/24")},
			"give it a preference above 20001 where it is configured; until then: ip rule add pref 32000 from 10.0.2.0/24 lookup 99 && ip rule del pref 100 from 10.0.2.0/24 lookup 99"},
		{"two families", nil, []Rule{from(100, 99, "10.0.2.0/24"), six}, "pref 100 from 10.0.2.0/24 lookup 99; ip -6 rule add pref 32001 from 2001:db8::/64 lookup 99 && ip -6 rule del pref 50"},
		{"no room", []Rule{to(32001, 98)}, []Rule{to(100, 99), to(101, 97)}, "ip rule add pref 32002 from all lookup 99 && ip rule del pref 100 from all lookup 99; ip rule add pref 32003 from all lookup 97"},
		{"Tailscale's", nil, []Rule{to(5210, 52), to(5270, 52)}, "set priority = 1000"},
		{"Tailscale's and another", nil, []Rule{to(5210, 52), to(100, 99)}, "ip rule add pref 32001 from all lookup 99"},
	} {
		f := host()
		f.Rules = append(f.Rules, tt.there...)
		if got := f.behind(tt.move, 20001); !strings.Contains(got, tt.says) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.says)
		}
	}
}

// Findings are below the first cause that is there, at any distance, and a root is as bad as what follows from it.
func TestCauses(t *testing.T) {
	t.Parallel()
	find := func(v Verdict, id, iface string) Finding {
		return Finding{ID: id, Verdict: v, Interface: iface, Summary: id}
	}
	for _, tt := range []struct {
		name string
		list []Finding
		want string
	}{
		{"a chain of three", []Finding{find(Fail, "leave", "eth1"), find(Fail, "source-rule", "eth1"), find(Warn, "degraded", "eth1")}, "fail degraded eth1 (source-rule leave)"},
		{"the host's cause", []Finding{find(Warn, "reading-age", "eth1"), find(Fail, "metadata", "")}, "fail metadata  (reading-age)"},
		{"another interface's is none", []Finding{find(Fail, "leave", "eth1"), find(Fail, "source-rule", "eth2")}, "fail leave eth1 (), fail source-rule eth2 ()"},
		{"a group is everybody's", []Finding{find(Fail, "leave", "eth1"), find(Fail, "group", "eth0")}, "fail group eth0 (leave)"},
		{"what is well explains nothing", []Finding{find(Fail, "leave", "eth1"), find(OK, "source-rule", "eth1")}, "fail leave eth1 (), ok source-rule eth1 ()"},
		{"what is not known explains nothing", []Finding{find(Fail, "leave", "eth1"), find(Unknown, "source-rule", "eth1")}, "fail leave eth1 (), unknown source-rule eth1 ()"},
		{"what is not known follows from nothing", []Finding{find(Unknown, "leave", "eth1"), find(Fail, "source-rule", "eth1")}, "fail source-rule eth1 (), unknown leave eth1 ()"},
		{"the nearer cause", []Finding{find(Fail, "leave", "eth1"), find(Fail, "link", "eth1"), find(Fail, "source-rule", "eth1")}, "fail link eth1 (), fail source-rule eth1 (leave)"},
		{"the worst first", []Finding{find(Warn, "altname", "eth1"), find(Fail, "mtu", "eth1"), find(Unknown, "lease", "")}, "fail mtu eth1 (), warn altname eth1 (), unknown lease  ()"},
	} {
		var got []string
		for _, f := range sortOut(tt.list) {
			var below []string
			for _, c := range f.Consequences {
				below = append(below, c.ID)
			}
			got = append(got, fmt.Sprintf("%s %s %s (%s)", f.Verdict, f.ID, f.Interface, strings.Join(below, " ")))
		}
		if s := strings.Join(got, ", "); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, s, tt.want)
		}
	}
}

// What a report says in JSON can be read again.
func TestJSON(t *testing.T) {
	t.Parallel()
	for v := OK; v <= Fail; v++ {
		b, err := json.Marshal(Report{[]Finding{{ID: "x", Verdict: v}}})
		var r Report
		if err = errors.Join(err, json.Unmarshal(b, &r)); err != nil || r.Findings[0].Verdict != v || r.Worst() != v {
			t.Errorf("%s: %v %+v", v, err, r)
		}
	}
	for e := NoRoute; e <= NotRouter; e++ {
		b, err := json.Marshal(Leg{End: e})
		var l Leg
		if err = errors.Join(err, json.Unmarshal(b, &l)); err != nil || l.End != e {
			t.Errorf("%s: %v %+v", e, err, l)
		}
	}
	var v Verdict
	var e End
	if v.UnmarshalText([]byte("perfect")) == nil || e.UnmarshalText([]byte("somewhere")) == nil {
		t.Error("nonsense is read")
	}
}
