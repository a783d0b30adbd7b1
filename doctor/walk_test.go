package doctor

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// to is a rule for a table, with what an absent attribute means.
func to(pref, table uint32) Rule {
	return Rule{Pref: pref, Table: table, Action: nl.FR_ACT_TO_TBL, NoShorter: -1, NoGroup: -1}
}

func via(table uint32, dst, gw string, dev int) Route {
	r := Route{Table: table, Dst: prefix(dst), Type: unix.RTN_UNICAST, Hops: []Hop{{Index: dev}}}
	if gw != "" {
		r.Hops[0].Via = addr(gw)
	}
	return r
}

// host has eth0 with main's default route, and eth1.
func host() FIB {
	return FIB{
		Rules: []Rule{to(0, 255), to(32766, 254)},
		Links: []Link{{Name: "lo", Index: 1, Loopback: true}, {Name: "eth0", Index: 2}, {Name: "eth1", Index: 3}},
		Routes: []Route{
			via(254, "0.0.0.0/0", "10.0.0.1", 2), via(254, "10.0.0.0/24", "", 2), via(254, "10.0.2.0/24", "", 3),
			{Table: 255, Dst: prefix("10.0.0.29/32"), Type: unix.RTN_LOCAL, Hops: []Hop{{Index: 2}}},
			{Table: 255, Dst: prefix("10.0.2.37/32"), Type: unix.RTN_LOCAL, Hops: []Hop{{Index: 3}}},
		},
	}
}

// What the kernel of the tests cannot be made to show: VRFs, rules that go nowhere, ways without a carrier,
// router preferences, source-specific routes.
func TestWalk(t *testing.T) {
	t.Parallel()
	out := Packet{Src: addr("10.0.2.37"), Dst: addr("192.0.2.1")}
	six := Packet{Src: addr("2001:db8::37"), Dst: addr("2001:db8:9::1")}
	for _, tt := range []struct {
		name   string
		change func(*FIB)
		packet Packet
		end    End
		by     int
		says   string
	}{
		{"main", func(*FIB) {}, out, Forward, 2, "default via 10.0.0.1 dev eth0"},
		{"longest prefix", func(f *FIB) { f.Routes = append(f.Routes, via(254, "192.0.2.0/24", "", 3)) }, out, Forward, 3, "192.0.2.0/24 dev eth1"},
		{"goto without a target", func(f *FIB) {
			f.Rules[0] = Rule{Pref: 5, Action: nl.FR_ACT_GOTO, Target: 77, NoShorter: -1, NoGroup: -1}
		}, out, Forward, 2, "there is no rule 77 to go to"},
		{"goto", func(f *FIB) {
			f.Rules = []Rule{{Pref: 5, Action: nl.FR_ACT_GOTO, Target: 32766}, {Pref: 6, Action: nl.FR_ACT_BLACKHOLE}, to(32766, 254)}
		}, out, Forward, 2, "goes on at 32766"},
		{"nop", func(f *FIB) { f.Rules[0].Action = nl.FR_ACT_NOP }, out, Forward, 2, "does nothing"},
		{"VRF", func(f *FIB) {
			f.Links = append(f.Links, Link{Name: "red", Index: 9, Kind: "vrf", VRFTable: 77})
			r := to(1000, 0)
			r.L3MDev = true
			f.Rules = []Rule{r, to(32766, 254)}
			f.Routes = append(f.Routes, via(77, "0.0.0.0/0", "10.0.2.1", 3))
		}, Packet{Src: out.Src, Dst: out.Dst, In: 3, VRF: 9}, Forward, 3, "default via 10.0.2.1 dev eth1"},
		{"no VRF", func(f *FIB) { f.Rules[0].L3MDev = true }, out, Forward, 2, "it belongs to no VRF"},
		{"dead", func(f *FIB) { f.Routes[0].Hops[0].Dead = true }, out, NoRoute, 0, "no route in table main"},
		{"no carrier", func(f *FIB) { f.Routes[0].Hops[0].NoCarrier = true }, out, Forward, 2, "linkdown"},
		{"no carrier, skipped", func(f *FIB) {
			f.Routes[0].Hops[0].NoCarrier, f.Links[1].Conf.SkipLinkDown = true, true
		}, out, NoRoute, 0, "no route in table main"},
		{"bound", func(*FIB) {}, Packet{Src: out.Src, Dst: out.Dst, Out: 3}, NoRoute, 0, "no route in table main"},
		{"metric", func(f *FIB) {
			f.Routes[0].Metric = 100
			r := via(254, "0.0.0.0/0", "10.0.2.1", 3)
			r.Metric = 50
			f.Routes = append(f.Routes, r)
		}, out, Forward, 3, "metric 50"},
		{"router preference", func(f *FIB) {
			low, high := via(254, "::/0", "fe80::1", 2), via(254, "::/0", "fe80::2", 3)
			low.Pref, high.Pref = 3, 1
			f.Rules[1].Six, f.Routes = true, []Route{low, high}
		}, six, Forward, 3, "via fe80::2 dev eth1"},
		{"source-specific", func(f *FIB) {
			r := via(254, "::/0", "fe80::2", 3)
			r.From = prefix("2001:db8::/64")
			f.Rules[1].Six, f.Routes = true, []Route{via(254, "::/0", "fe80::1", 2), r}
		}, six, Forward, 3, "default from 2001:db8::/64 via fe80::2 dev eth1"},
		{"no rules at all", func(f *FIB) { f.Rules = nil }, out, NoRoute, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := host()
			tt.change(&f)
			p := Walk(f, tt.packet)
			if p.End != tt.end || (tt.by != 0 && !p.leavesBy(tt.by)) {
				t.Errorf("%s by %v, want %s by %d", p.End, p.by(), tt.end, tt.by)
			}
			said := ""
			for _, s := range p.Steps {
				said += s.Why + "\n"
			}
			if !strings.Contains(said, tt.says) {
				t.Errorf("not said: %q in\n%s", tt.says, said)
			}
		})
	}
}

func TestCheckSource(t *testing.T) {
	t.Parallel()
	in := Packet{Src: addr("192.0.2.1"), Dst: addr("10.0.2.37"), In: 3}
	for _, tt := range []struct {
		name   string
		change func(*FIB)
		packet Packet
		drops  bool
		says   string
	}{
		{"strict", func(f *FIB) { f.Links[2].Conf.RPFilter = 1 }, in, true, "leads by eth0, not by eth1"},
		{"loose", func(f *FIB) { f.Links[2].Conf.RPFilter = 2 }, in, false, "which rp_filter allows"},
		{"off", func(*FIB) {}, in, false, "which rp_filter allows"},
		{"loose, no address", func(f *FIB) { f.Links[2].Conf.RPFilter, f.Routes = 2, f.Routes[:4] }, in, true, "eth1 has no IPv4 address"},
		{"no way back", func(f *FIB) { f.Links[2].Conf.RPFilter, f.Rules = 2, nil }, in, true, "there is no way back"},
		{"no way back, off", func(f *FIB) { f.Rules = nil }, in, false, "but rp_filter is off"},
		{"right", func(f *FIB) { f.Links[2].Conf.RPFilter, f.Routes[0].Hops[0].Index = 1, 3 }, in, false, "leads by eth1 as well"},
		{"martian", func(*FIB) {}, Packet{Src: addr("10.0.0.29"), Dst: in.Dst, In: 3}, true, "a martian"},
		{"accept_local", func(f *FIB) { f.Links[2].Conf.AcceptLocal = true }, Packet{Src: addr("10.0.0.29"), Dst: in.Dst, In: 3}, false, "accept_local"},
		{"IPv6", func(*FIB) {}, Packet{Src: addr("2001:db8::1"), Dst: addr("2001:db8::2"), In: 3}, false, "no such check for IPv6"},
		{"mark not valid", func(f *FIB) {
			f.Links[2].Conf.RPFilter = 1
			marked(f)
		}, Packet{Src: in.Src, Dst: in.Dst, In: 3, Mark: 7}, true, "leads by eth0, not by eth1"},
		{"mark valid", func(f *FIB) {
			f.Links[2].Conf = Conf{RPFilter: 1, SrcValidMark: true}
			marked(f)
		}, Packet{Src: in.Src, Dst: in.Dst, In: 3, Mark: 7}, false, "leads by eth1 as well"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := host()
			tt.change(&f)
			if c := checkSource(f, tt.packet, 0); c.Drops != tt.drops || !strings.Contains(c.Why, tt.says) {
				t.Errorf("%+v, want drops %v, %q", c, tt.drops, tt.says)
			}
		})
	}
}

// marked sends what has mark 7 out of eth1.
func marked(f *FIB) {
	r := to(100, 80)
	r.Mark, r.Mask = 7, ^uint32(0)
	f.Rules = append([]Rule{r}, f.Rules...)
	f.Routes = append(f.Routes, via(80, "0.0.0.0/0", "10.0.2.1", 3))
}

// Where the kernel says something else, that is told.
func TestExplainDisagreement(t *testing.T) {
	t.Parallel()
	q := Question{Src: addr("10.0.0.29"), Dst: addr("192.0.2.1")}
	for _, tt := range []struct {
		answer Answer
		says   string
	}{
		{Answer{End: Forward, Device: 2, Via: addr("10.0.0.1"), Table: 254}, ""},
		{Answer{End: Forward, Device: 3, Via: addr("10.0.2.1"), Table: 10001}, "DIFFERS: the kernel says via 10.0.2.1 dev eth1 (table 10001)"},
		{Answer{Errno: unix.ENETUNREACH}, `DIFFERS: the kernel says "network is unreachable"`},
		{Answer{End: Blackhole}, "DIFFERS: the kernel says blackhole"},
	} {
		e, err := Explain(host(), q, func(p Packet) (Answer, error) {
			if p.In != 0 {
				return Answer{End: Local}, nil
			}
			return tt.answer, nil
		})
		if err != nil || e.Agrees != (tt.says == "") || !strings.Contains(strings.Join(strings.Fields(e.String()), " "), tt.says) {
			t.Errorf("%+v: %v\n%s", tt.answer, err, e)
		}
	}
}
