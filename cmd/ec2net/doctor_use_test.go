package main

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ec2net/doctor"
	"ec2net/test/lab"
)

// A user without any right is told what can be found out, and of the rest that it is unknown.
func TestDoctorNotRoot(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	ec2net(t, c, exitOK, "up", "eth1")
	ec2net(t, c, exitOK, "up", "eth0")
	nobody := func(args ...string) (string, int) {
		return on(t, c, "setpriv", append([]string{"--bounding-set", "-all", "--inh-caps", "-all", "ec2net", "--cloud", "ec2"}, args...)...)
	}
	locked := func() { shell(t, c.Instance(), "mkdir -p /run/ec2net", "chmod 0 /run/ec2net") } // the lab's only user owns the folder
	locked()
	out, status := nobody("doctor")
	if status != exitOK || !strings.Contains(out, "no problems found: ") || !strings.Contains(out, "unknown only root may read the records in /run/ec2net") {
		t.Errorf("exit status %d\n%s", status, out)
	}
	configure(t, c, "main_table = false\n")
	shell(t, c.Instance(), "chmod 0 /etc/ec2net/ec2net.toml")
	out, status = nobody("doctor")
	if status != exitOK || !strings.Contains(out, "unknown only root may read the configuration /etc/ec2net/ec2net.toml [plan]") {
		t.Errorf("what the file says: exit status %d\n%s", status, out)
	}
	shell(t, c.Instance(), "rm /etc/ec2net/ec2net.toml")
	ip(t, c, "rule del pref 20001")
	out, status = nobody("doctor", "--json")
	var r doctor.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || status != exitDifferences {
		t.Fatalf("%v, exit status %d\n%s", err, status, out)
	}
	if got := roots(r.Findings); got != "fail source-rule eth1" {
		t.Errorf("found %q\n%s", got, out)
	}
	unknown := []string{}
	for _, f := range r.Findings {
		if f.Verdict == doctor.Unknown {
			unknown = append(unknown, f.ID)
		}
	}
	slices.Sort(unknown)
	if want := []string{"degraded", "forward", "lease", "manager", "orphan", "process", "reading-age", "record"}; !slices.Equal(unknown, want) {
		t.Errorf("unknown are %q, want %q", unknown, want)
	}
	if out, status := nobody("explain", "10.0.2.37", "198.51.100.146"); status != exitDifferences || !strings.Contains(out, "is eth1's address: the cloud drops it") {
		t.Errorf("explain: exit status %d\n%s", status, out)
	}
}

// What only root may ask of nftables is unknown, too.
func TestDoctorNotRootByInterface(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	byInterface(t, c)
	out, status := on(t, c, "setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "ec2net", "--cloud", "ec2", "doctor")
	if status != exitOK || !strings.Contains(out, "eth1: its state cannot be read") {
		t.Errorf("exit status %d\n%s", status, out)
	}
}

// The chains that see what is passed on are those that nft(8) shows.
func TestDoctorChains(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	shell(t, c.Instance(),
		"nft add table ip filter", "nft add chain ip filter FORWARD '{ type filter hook forward priority 0; policy drop; }'",
		"nft add chain ip filter INPUT '{ type filter hook input priority 0; policy drop; }'", "nft add chain ip filter DOCKER-USER",
		"nft add table inet firewalld", "nft add chain inet firewalld passed '{ type filter hook forward priority 10; }'",
		"nft add table arp x", "nft add chain arp x input '{ type filter hook input priority 0; }'",
	)
	must(t, c.Instance().Do(func() error {
		got, err := doctor.ReadChains()
		want := []doctor.Chain{{Family: "ip", Table: "filter", Name: "FORWARD", Drops: true, Docker: true}, {Family: "inet", Table: "firewalld", Name: "passed"}}
		slices.SortFunc(got, func(a, b doctor.Chain) int { return strings.Compare(b.Family, a.Family) })
		if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(doctor.Chain{})); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		return err
	}))
}

// One interface alone, no cloud, and what can not be meant.
func TestDoctorInput(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	ip(t, c, "link add stranger address 02:00:00:00:99:99 type veth peer name stranger1")
	before := world(t, c)
	for _, tt := range []struct {
		args   string
		status int
		says   string
	}{
		{"--cloud ec2 doctor eth1", exitDifferences, "eth1: nobody has set it up [set-up]"},
		{"--cloud ec2 doctor stranger", exitDifferences, "stranger: it is not ready yet: the cloud does not know its MAC address"},
		{"--cloud ec2 doctor eth0", exitOK, "all well: "},
		{"doctor", exitUnavailable, "nothing was checked: "}, // on no cloud
		{"--cloud ec2 doctor nosuch0", exitUsage, "no such network interface nosuch0 here; this host has eth0, eth1"},
		{"--cloud ec2 doctor a/b", exitUsage, "a/b"},
		{"--cloud ec2 doctor eth0 eth1", exitUsage, "takes one interface at most"},
		{"--cloud ec2 --config /nowhere/ec2net.toml doctor", exitUsage, "/nowhere/ec2net.toml: there is no such file"},
		{"--cloud ec2 --config " + filepath.Join(t.TempDir(), "") + " doctor eth0", exitDifferences, "the configuration file has an error"},
	} {
		out, status := on(t, c, "ec2net", strings.Fields(tt.args)...)
		if status != tt.status || !strings.Contains(out, tt.says) {
			t.Errorf("%s: exit status %d, want %d, and %q in\n%s", tt.args, status, tt.status, tt.says, out)
		}
	}
	if d := cmp.Diff(before, world(t, c)); d != "" {
		t.Errorf("something changed:\n%s", d)
	}
}

// Where the doctor blames rp_filter, packets are dropped on the wire, and the sysctl that it names is the one
// that lets them in. The answers leave by the interface all along.
func TestDoctorRPFilterOnTheWire(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{RPFilter: 1})
	shell(t, c.Instance(),
		"ip link set eth1 up", "ip addr add 10.0.2.37/32 dev eth1", "ip route add default via 10.0.2.1 dev eth1 onlink table 80",
		"ip rule add pref 500 fwmark 0x80/0x80 lookup 80",
	)
	must(t, c.Settle("eth1"))
	flags := []string{"--config", write(t, "[[interface]]\nname = \"eth1\"\nmanage = \"link-up\"\n")}
	marked := lab.Ping{Source: addr("10.0.2.37"), Mark: 0x80, Tries: 2, Timeout: 300 * time.Millisecond}
	before, _ := c.Instance().NetStat("TcpExt", "IPReversePathFilter")
	if _, err := c.Instance().Ping(t.Context(), lab.ClientIP, marked); !errors.Is(err, lab.ErrNoReply) {
		t.Errorf("rp_filter does not drop it: %v", err)
	}
	if after, err := c.Instance().NetStat("TcpExt", "IPReversePathFilter"); err != nil || after <= before {
		t.Errorf("the kernel counts %d, and did %d: %v", after, before, err)
	}
	if findings, _ := diagnosis(t, c, flags...); roots(findings) != "fail rp_filter eth1" {
		t.Error(report(t, c, flags...))
	}
	must(t, c.Instance().Sysctl("net/ipv4/conf/eth1/rp_filter", "2"))
	reaches(t, c.Instance(), lab.ClientIP, marked)
	if findings, _ := diagnosis(t, c, flags...); roots(findings) != "" {
		t.Error(report(t, c, flags...))
	}
}

// Colours are for a terminal, and there not for who does not want them.
func TestDoctorColours(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	for _, tt := range []struct {
		command string
		colours bool
	}{
		{"ec2net --cloud ec2 doctor", false},
		{"script -qec 'ec2net --cloud ec2 doctor' /dev/null", true},
		{"NO_COLOR=1 script -qec 'ec2net --cloud ec2 doctor' /dev/null", false},
		{"TERM=dumb script -qec 'ec2net --cloud ec2 doctor' /dev/null", false},
	} {
		out, _ := runOn(c.Instance(), tt.command)
		if !strings.Contains(out, "nobody has set it up") || strings.Contains(out, "\x1b[1;31mfail\x1b[0m") != tt.colours {
			t.Errorf("%s: %q", tt.command, out)
		}
	}
}

// What stands in the way of [egress] is named, and what the doctor says to do about it does away with it.
func TestDoctorEgressRemedy(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	ec2net(t, c, exitOK, "up", "eth0")
	conf := write(t, "[egress]\ninterface = \"eth1\"\n")
	ec2net(t, c, exitPartial, "up", "eth1", "--config", conf)
	ask := func() string { return ec2net(t, c, exitOK, "doctor", "eth1", "--json", "--config", conf) }
	says(t, ask(), `"remedy": "ec2net up eth0; then ec2net up eth1"`)
	ec2net(t, c, exitOK, "up", "eth0", "--config", conf)
	ec2net(t, c, exitOK, "up", "eth1", "--config", conf)
	if out := ask(); strings.Contains(out, "remedy") {
		t.Errorf("the remedy was followed, and this is left:\n%s", out)
	}
}

// While the file has an error, nobody knows what should be there: nothing is missed on an interface that is well, and
// nothing of it called superfluous.
func TestBrokenFile(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	conf := write(t, "replies = \"by-interface\"\nmain_table = false\n")
	ec2net(t, c, exitOK, "up", "eth1", "--config", conf)
	ec2net(t, c, exitOK, "up", "eth0", "--config", conf)
	broken := write(t, "replies = \"by-interface\"\nmain_table = flase\n")
	findings, _ := diagnosis(t, c, "--config", broken)
	if got := roots(findings); got != "fail config" {
		t.Errorf("found %q\n%s", got, report(t, c, "--config", broken))
	}
	says(t, ec2net(t, c, exitUsage, "status", "eth1", "--config", broken), "drift       unknown: the configuration has an error", broken+":2:14")
	out, _ := on(t, c, "ec2net", "status", "--json", "--config", broken)
	says(t, out, `"drift": null`, `"broken": true`)
}
