package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
	locked := func() { shell(t, c, []string{"mkdir -p /run/ec2net", "chmod 0 /run/ec2net"}) } // the lab's only user owns the folder
	locked()
	out, status := nobody("doctor")
	if status != exitOK || !strings.Contains(out, "nothing wrong was found: ") || !strings.Contains(out, "unknown the records cannot be read") {
		t.Errorf("exit status %d\n%s", status, out)
	}
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
	if want := []string{"degraded", "keeper", "lease", "manager", "orphan", "reading-age"}; !slices.Equal(unknown, want) {
		t.Errorf("unknown are %q, want %q", unknown, want)
	}
	if out, status := nobody("explain", "10.0.2.37", "198.51.100.146"); status != exitDifferences || !strings.Contains(out, "is eth1's address: the cloud drops it") {
		t.Errorf("explain: exit status %d\n%s", status, out)
	}
}

// What only root may ask of nftables is unknown, too.
func TestDoctorNotRootByCard(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	byCard(t, c)
	out, status := on(t, c, "setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "ec2net", "--cloud", "ec2", "doctor")
	if status != exitOK || !strings.Contains(out, "eth1: its state cannot be read") {
		t.Errorf("exit status %d\n%s", status, out)
	}
}

// One card alone, no cloud, and what can not be meant.
func TestDoctorInput(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	before := world(t, c)
	for _, tt := range []struct {
		args   string
		status int
		says   string
	}{
		{"--cloud ec2 doctor eth1", exitDifferences, "eth1: nobody has set it up [set-up]"},
		{"--cloud ec2 doctor eth0", exitOK, "all well: "},
		{"doctor", exitOK, "all well: "}, // on no cloud
		{"--cloud ec2 doctor nosuch0", exitUsage, "no such network card nosuch0 here; this host has eth0, eth1"},
		{"--cloud ec2 doctor a/b", exitUsage, "a/b"},
		{"--cloud ec2 doctor eth0 eth1", exitUsage, "takes one card at most"},
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
	} {
		out, _ := runOn(c.Instance(), tt.command)
		if !strings.Contains(out, "nobody has set it up") || strings.Contains(out, "\x1b[1;31mfail\x1b[0m") != tt.colours {
			t.Errorf("%s: %q", tt.command, out)
		}
	}
}
