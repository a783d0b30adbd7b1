package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ec2net/doctor"
	"ec2net/test/lab"
)

// explained wants `explain` to say of each pair what was seen on the wire, the kernel to agree, and the answer
// to come back through strict rp_filter.
func explained(t *testing.T, c *lab.Cloud, sent map[int]shot) {
	t.Helper()
	must(t, c.Instance().Do(func() error {
		fib, err := doctor.ReadFIB()
		if err != nil {
			return err
		}
		for _, s := range sent {
			e, err := doctor.Explain(fib, doctor.Question{Src: s.src, Dst: s.dst}, doctor.Ask)
			if err != nil {
				return err
			}
			if !slices.Equal(e.There.By, []string{s.by}) || !e.Agrees || len(e.Problems) > 0 || e.Back == nil {
				t.Errorf("%s to %s left by %s, and is explained so:\n%s", s.src, s.dst, s.by, e)
			}
		}
		return nil
	}))
}

// explain runs the command and takes its JSON apart.
func explain(t *testing.T, c *lab.Cloud, status int, args ...string) (e doctor.Explanation) {
	t.Helper()
	out := ec2net(t, c, status, append([]string{"explain", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		t.Fatalf("explain %q: %v\n%s", args, err, out)
	}
	return e
}

// The kernel is asked about each kind of rule, and agrees with the walk.
func TestExplainForeignRules(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{RPFilter: 1})
	ec2net(t, c, exitOK, "up", "eth1")
	for _, cmd := range []string{
		"route add default via 10.0.2.1 dev eth1 table 80",
		"route add blackhole default table 81", "route add throw default table 82", "route add unreachable default table 83",
		"route add prohibit default table 84",
		"route add default table 85 nexthop via 10.0.0.1 dev eth0 nexthop via 10.0.2.1 dev eth1",
		"route add default via 10.0.0.1 dev eth0 table 86 metric 5", "route add default via 10.0.2.1 dev eth1 table 86 metric 4",
		"-6 route add fd77::/64 dev eth0 table 87 metric 9", "-6 route add fd77::/64 dev eth1 table 87 metric 8",
	} {
		ip(t, c, cmd)
	}
	const src, dst = "10.0.2.37", "198.51.100.146"
	for _, tt := range []struct{ rule, says, by string }{
		{"to 198.51.100.0/24 lookup 80", "default via 10.0.2.1 dev eth1", "eth1"},
		{"to 198.51.0.0/24 lookup 81", "to 198.51.0.0/24: it goes to 198.51.100.146", "eth1"},
		{"not to 198.51.0.0/24 lookup 86", "default via 10.0.2.1 dev eth1 metric 4", "eth1"},
		{"not from 10.0.2.37 lookup 81", "not: its selectors apply", "eth1"},
		{"iif lo lookup 80", "default via 10.0.2.1 dev eth1", "eth1"},
		{"iif eth0 lookup 81", "iif eth0: it comes in by lo", "eth1"},
		{"oif eth0 lookup 81", "oif eth0: it is bound to no device", "eth1"},
		{"fwmark 0x80/0x80 lookup 81", "fwmark 0x80/0x80: its mark is 0x0", "eth1"},
		{"fwmark 0/0x80 lookup 80", "default via 10.0.2.1 dev eth1", "eth1"},
		{"tos 0x10 lookup 81", "tos 0x10: the packet has 0x0", "eth1"},
		{"ipproto tcp dport 22 lookup 81", "ipproto tcp: the question names no protocol", "eth1"},
		{"dport 22 lookup 81", "dport 22: the question names no port", "eth1"},
		{"sport 1000-2000 lookup 81", "sport 1000-2000: the question names no port", "eth1"},
		{"tun_id 7 lookup 81", "tun_id 7: it is in no tunnel", "eth1"},
		{"uidrange 7-9 lookup 81", "uidrange 7-9: user 0 sends it", "eth1"},
		{"uidrange 0-9 lookup 80", "default via 10.0.2.1 dev eth1", "eth1"},
		{"lookup 81", "blackhole default", ""},
		{"lookup 82", "no route in table 82", "eth1"},
		{"lookup 83", "unreachable default", ""},
		{"lookup 84", "prohibit default", ""},
		{"lookup 85", "nexthop via 10.0.0.1 dev eth0 nexthop via 10.0.2.1 dev eth1", "eth0 eth1"},
		{"lookup 86", "default via 10.0.2.1 dev eth1 metric 4", "eth1"},
		{"lookup 86 suppress_prefixlength 0", "its length is 0 (suppress_prefixlength 0)", "eth1"},
		{"lookup main suppress_ifgroup 236", "eth0 is in group 236 (suppress_ifgroup)", "eth1"},
		{"lookup 99", "no route in table 99", "eth1"},
		{"blackhole", "drops it silently", ""},
		{"unreachable", "refuses it: unreachable", ""},
		{"prohibit", "refuses it: prohibited", ""},
		{"goto 32766", "goes on at 32766", "eth0"},
	} {
		ip(t, c, "rule add pref 5000 "+tt.rule)
		status := exitOK
		if tt.by != "eth1" {
			status = exitDifferences
		}
		e := explain(t, c, status, src, dst)
		if got := strings.Join(e.There.By, " "); got != tt.by || !e.Agrees {
			t.Errorf("%s: leaves by %q, want %q; the kernel: %s %s", tt.rule, got, tt.by, e.There.Kernel, e.There.Differs)
		}
		said := slices.ContainsFunc(e.There.Steps, func(s doctor.Step) bool { return strings.Contains(s.Why, tt.says) })
		if !said {
			t.Errorf("%s: not said: %q in %+v", tt.rule, tt.says, e.There.Steps)
		}
		ip(t, c, "rule del pref 5000")
	}
}

// A mark is asked about too, and the kernel agrees.
func TestExplainMark(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{RPFilter: 1})
	ec2net(t, c, exitOK, "up", "eth1")
	ip(t, c, "rule add pref 5000 fwmark 0x80/0x80 lookup 10001")
	for mark, by := range map[string]string{"0x80": "eth1", "0x181": "eth1", "0x100": "eth0", "0": "eth0", "128": "eth1"} {
		status := exitOK
		if by == "eth1" { // with eth0's address
			status = exitDifferences
		}
		if e := explain(t, c, status, "10.0.0.29", "198.51.100.146", "--mark", mark); !slices.Equal(e.There.By, []string{by}) || !e.Agrees {
			t.Errorf("mark %s: %+v", mark, e.There)
		}
	}
}

// What comes in: by strict, loose and no rp_filter the walk and the kernel have the same verdict.
func TestExplainIncoming(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	ip(t, c, "link set eth1 up")
	ip(t, c, "addr add 10.0.2.37/24 dev eth1") // as seed 002 and seed 004 have it
	must(t, c.Settle("eth1"))
	for mode, drops := range map[string]bool{"0": false, "1": true, "2": false} {
		must(t, c.Instance().Sysctl("net/ipv4/conf/eth1/rp_filter", mode))
		e := explain(t, c, exitDifferences, "198.51.100.146", "10.0.2.37")
		if e.There.In != "eth1" || e.There.Check == nil || e.There.Check.Drops != drops || !e.Agrees {
			t.Errorf("rp_filter %s: %+v", mode, e.There)
		}
		counted, _ := c.Instance().NetStat("TcpExt", "IPReversePathFilter")
		spoofed, _ := c.Spoofed("eth0")
		silent(t, c, lab.EIP2)
		dropped, _ := c.Instance().NetStat("TcpExt", "IPReversePathFilter")
		refused, _ := c.Spoofed("eth0")
		if (dropped > counted) != drops || (refused > spoofed) == drops {
			t.Errorf("rp_filter %s, on the wire: the kernel dropped %d, the cloud %d", mode, dropped-counted, refused-spoofed)
		}
		says(t, strings.Join(e.Problems, "\n"), "10.0.2.37 leaves by eth0, but is eth1's address: the cloud drops it (source check)")
	}
	must(t, c.Instance().Sysctl("net/ipv4/conf/eth1/rp_filter", "1"))
	ec2net(t, c, exitOK, "up", "eth1")
	for _, pair := range []string{"198.51.100.146 10.0.2.37", "10.0.2.37 198.51.100.146", "198.51.100.146 10.0.0.29", "10.0.2.37 10.0.0.29", "10.0.0.29 10.0.2.9"} {
		status := exitOK
		if pair == "10.0.0.29 10.0.2.9" { // the primary has not been set up beside eth1
			status = exitDifferences
		}
		if e := explain(t, c, status, strings.Fields(pair)...); !e.Agrees {
			t.Errorf("%s: %+v", pair, e)
		}
	}
	must(t, c.Instance().Sysctl("net/ipv4/conf/eth0/rp_filter", "1"))
	if e := explain(t, c, exitDifferences, "198.51.100.146", "10.0.2.37", "--in", "eth0"); !e.Agrees || !e.There.Check.Drops {
		t.Errorf("by the wrong interface: %+v", e)
	}
	if e := explain(t, c, exitDifferences, "10.0.0.29", "10.0.2.37", "--in", "eth1"); !e.Agrees || !e.There.Check.Drops {
		t.Errorf("a martian: %+v", e)
	}
	if e := explain(t, c, exitDifferences, "198.51.100.146", "192.0.2.1", "--in", "eth1"); !e.Agrees {
		t.Errorf("to be forwarded: %+v", e)
	}
	says(t, ec2net(t, c, exitOK, "explain", "10.0.2.37", "10.0.2.255"), "it is a broadcast, to all hosts of the subnet", "It gets there. A broadcast has no answer.")
	out := ec2net(t, c, exitOK, "explain", "198.51.100.146", "10.0.2.37")
	says(t, out, "packet 198.51.100.146 > 10.0.2.37, in by eth1", "answer 10.0.2.37 > 198.51.100.146, sent by this host",
		"It gets there, and its answer comes back.", "rp_filter 1, strict")
	for line := range strings.Lines(out) {
		if len(line) > doctor.Width+1 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}

// What makes no sense ends with status 2 and says why; nothing is changed by any of it.
func TestExplainBadInput(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	before := world(t, c)
	for args, want := range map[string]string{
		"":                                     "accepts 2 arg(s), received 0",
		"10.0.0.29":                            "accepts 2 arg(s), received 1",
		"10.0.0.29 eth1":                       `DST "eth1" is not an IP address`,
		"10.0.0.256 10.0.0.1":                  `SRC "10.0.0.256" is not an IP address`,
		"10.0.0.0/24 10.0.0.1":                 `SRC "10.0.0.0/24" is not an IP address`,
		"fe80::1%eth0 fe80::2":                 `SRC "fe80::1%eth0" is not an IP address`,
		"10.0.0.29 2001:db8::1":                "10.0.0.29 and 2001:db8::1 are of different families",
		"0.0.0.0 10.0.0.1":                     "no packet can come from 0.0.0.0",
		"255.255.255.255 10.0.0.1":             "no packet can come from 255.255.255.255",
		"ff02::1 2001:db8::1":                  "no packet can come from ff02::1",
		"10.0.0.29 0.0.0.0":                    "no packet can go to 0.0.0.0",
		"10.0.0.29 224.0.0.251":                "224.0.0.251 is the address of many hosts, from which no answer comes",
		"10.0.0.29 255.255.255.255":            "255.255.255.255 is the address of many hosts",
		"fe80::1 ff02::1 --in eth0":            "ff02::1 is the address of many hosts",
		"192.0.2.1 192.0.2.2":                  "neither 192.0.2.1 nor 192.0.2.2 is an address of this host: name the interface that it comes in by (--in)",
		"10.0.0.29 10.0.2.1 --mark x":          `--mark "x" is not a number`,
		"10.0.0.29 10.0.2.1 --mark 4294967296": `--mark "4294967296" is not a number from 0 to 0xffffffff`,
		"10.0.0.29 10.0.2.1 --mark -1":         `--mark "-1" is not a number`,
		"192.0.2.1 10.0.0.29 --in nosuch":      `there is no network device "nosuch" here`,
	} {
		out := ec2net(t, c, exitUsage, append([]string{"explain"}, strings.Fields(args)...)...)
		says(t, out, want)
	}
	if d := cmp.Diff(before, world(t, c)); d != "" {
		t.Errorf("something changed:\n%s", d)
	}
}
