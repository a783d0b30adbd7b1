package config

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ec2net/metadata"
)

var (
	macA = metadata.MAC{2, 0, 0, 0, 0, 0x0a}
	macB = metadata.MAC{2, 0, 0, 0, 0, 0x0b}
)

// mustParse reads a configuration that the test itself wrote.
func mustParse(t *testing.T, text string) Config {
	t.Helper()
	c, err := Parse("test.toml", []byte(text))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return c
}

// with returns the default settings, changed.
func with(change func(*Interface)) Interface {
	iface := Default().Defaults
	if change != nil {
		change(&iface)
	}
	return iface
}

// asked is eth1 with macA after the metadata has answered.
func asked(eni string, device, iface int) Facts {
	return Local("eth1", macA, "ena").Learn(metadata.Interface{ID: eni, DeviceNumber: device, NetworkCard: iface})
}

func TestDefault(t *testing.T) {
	want := Interface{Manage: Full, DHCP: Auto, MainTable: true, Refresh: 30 * time.Second, Release: 30 * time.Second, Wait: 2 * time.Minute}
	for _, c := range []Config{Default(), mustParse(t, ""), mustParse(t, "# nothing\n\n")} {
		if got := c.For(Local("eth1", macA, "ena")); got != want {
			t.Errorf("For = %+v, want %+v", got, want)
		}
		if c.NeedsMetadata(Local("eth1", macA, "ena")) {
			t.Error("a configuration without sections needs the metadata")
		}
	}
	if Default().File != "" || mustParse(t, "").File != "test.toml" {
		t.Error("File does not say where the configuration came from")
	}
}

// TestSettings sets each key to each of its values, at the top and in a section.
func TestSettings(t *testing.T) {
	for line, want := range map[string]Interface{
		`manage = true`:            with(nil),
		`manage = "link-up"`:       with(func(c *Interface) { c.Manage = LinkUp }),
		`manage = 'link-up'`:       with(func(c *Interface) { c.Manage = LinkUp }),
		`manage = false`:           with(func(c *Interface) { c.Manage = None }),
		`dhcp = "auto"`:            with(nil),
		`dhcp = "native"`:          with(func(c *Interface) { c.DHCP = Native }),
		`dhcp = "off"`:             with(func(c *Interface) { c.DHCP = Off }),
		`dhcp = "\u006fff"`:        with(func(c *Interface) { c.DHCP = Off }),
		`main_table = true`:        with(nil),
		`main_table = false`:       with(func(c *Interface) { c.MainTable = false }),
		`prefixes = "rules"`:       with(nil),
		`prefixes = "local"`:       with(func(c *Interface) { c.Prefixes = PrefixLocal }),
		`prefixes = "off"`:         with(func(c *Interface) { c.Prefixes = PrefixOff }),
		`replies = "by-source"`:    with(nil),
		`replies = "by-interface"`: with(func(c *Interface) { c.Replies = ByInterface }),
		`refresh = "1s"`:           with(func(c *Interface) { c.Refresh = time.Second }),
		`release = "1s"`:           with(func(c *Interface) { c.Release = time.Second }),
		`release = "1h"`:           with(func(c *Interface) { c.Release = time.Hour }),
		`refresh = "1h"`:           with(func(c *Interface) { c.Refresh = time.Hour }),
		`refresh = "1m30s"`:        with(func(c *Interface) { c.Refresh = 90 * time.Second }),
		`"refresh" = """5m"""`:     with(func(c *Interface) { c.Refresh = 5 * time.Minute }),
		`wait = "1s"`:              with(func(c *Interface) { c.Wait = time.Second }),
		`wait = "60m"  # hour`:     with(func(c *Interface) { c.Wait = time.Hour }),
		"manage=false\r\n\r\n#":    with(func(c *Interface) { c.Manage = None }),
	} {
		top := mustParse(t, line)
		section := mustParse(t, "[[interface]]\nname = \"eth1\"\n"+line)
		if got := top.For(Local("eth1", macA, "ena")); got != want {
			t.Errorf("%s at the top: %+v, want %+v", line, got, want)
		}
		if got := section.For(Local("eth1", macA, "ena")); got != want {
			t.Errorf("%s in a section: %+v, want %+v", line, got, want)
		}
		if got := section.For(Local("eth2", macA, "ena")); got != with(nil) {
			t.Errorf("%s in a section for eth1 changed eth2: %+v", line, got)
		}
	}
}

func TestMatch(t *testing.T) {
	local := Local("eth1", macA, "ena")
	eni := "eni-0123456789abcdef0"
	tests := []struct {
		match string
		facts Facts
		want  verdict
	}{
		{`name = "eth1"`, local, yes},
		{`name = "eth1"`, Local("eth10", macA, ""), no},
		{`name = "eth1"`, Local("", macA, ""), no},
		{`name = "*"`, Local("", macA, ""), no},
		{`name = "eth*"`, local, yes},
		{`name = "eth?"`, Local("eth10", macA, ""), no},
		{`name = "e[nt]*"`, Local("ens5", macA, ""), yes},
		{`name = "eth[^0]"`, Local("eth0", macA, ""), no},
		{`name = 'a\*b'`, Local("a*b", macA, ""), yes},
		{`name = 'a\*b'`, Local("axb", macA, ""), no},
		{`mac = "02:00:00:00:00:0A"`, local, yes},
		{`mac = "02-00-00-00-00-0a"`, local, yes},
		{`mac = "02000000000a"`, Local("eth1", macB, ""), no},
		{`mac = "02:00:00:00:00:0a"`, Local("eth1", metadata.MAC{}, ""), no},
		{`driver = "ena"`, local, yes},
		{`driver = "hv_netvsc"`, local, no},
		{`driver = "ena"`, Local("eth1", macA, ""), no},
		{`eni = "eni-0123456789abcdef0"`, local, unknown},
		{`eni = "eni-0123456789abcdef0"`, asked(eni, 1, 0), yes},
		{`eni = "eni-0123456789abcdef0"`, asked("eni-0aaaaaaaaaaaaaaa0", 1, 0), no},
		{`eni = "eni-0123456789abcdef0"`, asked("", 1, 0), no},
		{`device_number = 1`, local, unknown},
		{`device_number = 1`, asked(eni, 1, 0), yes},
		{`device_number = 0`, asked(eni, 1, 0), no},
		{`device_number = 0x1_0`, asked(eni, 16, 0), yes},
		{`device_number = 99`, asked(eni, 99, 0), yes},
		{`network_card = 0`, local, unknown},
		{`network_card = 0`, asked(eni, 1, 0), yes},
		{`network_card = 1`, asked(eni, 1, 0), no},
		{"name = \"eth1\"\nmac = \"02:00:00:00:00:0a\"\ndriver = \"ena\"", local, yes},
		{"name = \"eth1\"\nmac = \"02:00:00:00:00:0b\"", local, no},
		{"name = \"eth1\"\ndevice_number = 1", local, unknown},
		{"device_number = 1\nname = \"eth2\"", local, no},
		{"device_number = 1\nnetwork_card = 1", asked(eni, 1, 1), yes},
		{"device_number = 1\nnetwork_card = 1", asked(eni, 1, 0), no},
	}
	for _, tt := range tests {
		c := mustParse(t, "[[interface]]\n"+tt.match)
		if got := c.sections[0].verdict(tt.facts); got != tt.want {
			t.Errorf("%s: %+v: verdict %d, want %d", tt.match, tt.facts, got, tt.want)
		}
	}
}

const layered = `
refresh = "10s"
wait = "5m"

[[interface]]
name = "eth*"
dhcp = "off"
refresh = "20s"

[[interface]]
driver = "ena"
refresh = "40s"

[[interface]]
name = "eth1"
main_table = false

[[interface]]
name = "eth9"
manage = false
`

// TestLayers shows that later sections win key by key, and leave alone what they do not name.
func TestLayers(t *testing.T) {
	c := mustParse(t, layered)
	got := map[string]Interface{}
	for _, f := range []Facts{Local("eth1", macA, "ena"), Local("eth2", macA, "veth"), Local("ens5", macA, "ena"), Local("lan", macA, "")} {
		got[f.Name] = c.For(f)
	}
	want := map[string]Interface{
		"eth1": {DHCP: Off, MainTable: false, Refresh: 40 * time.Second, Release: 30 * time.Second, Wait: 5 * time.Minute},
		"eth2": {DHCP: Off, MainTable: true, Refresh: 20 * time.Second, Release: 30 * time.Second, Wait: 5 * time.Minute},
		"ens5": {DHCP: Auto, MainTable: true, Refresh: 40 * time.Second, Release: 30 * time.Second, Wait: 5 * time.Minute},
		"lan":  {DHCP: Auto, MainTable: true, Refresh: 10 * time.Second, Release: 30 * time.Second, Wait: 5 * time.Minute},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if again := c.For(Local("lan", macA, "")); again != want["lan"] {
		t.Errorf("looking up other interfaces changed the defaults: %+v", again)
	}
}

func TestNeedsMetadata(t *testing.T) {
	const (
		byName = "[[interface]]\nname = \"eth1\"\n"
		byENI  = "[[interface]]\neni = \"eni-0123456789abcdef0\"\n"
		byDev  = "[[interface]]\ndevice_number = 1\n"
	)
	tests := []struct {
		name, text string
		want       bool
	}{
		{"excluded by ENI, perhaps", byENI + "manage = false", true},
		{"another DHCP by ENI, perhaps", byENI + "dhcp = \"off\"", true},
		{"the section sets what holds anyway", byENI + "manage = true\ndhcp = \"auto\"", false},
		{"the section sets nothing", byENI, false},
		{"the section is for another name", byENI + "name = \"eth2\"\nmanage = false", false},
		{"excluded by name", byName + "manage = false\n" + byENI + "dhcp = \"off\"", false},
		{"excluded by name, perhaps taken back by ENI", byName + "manage = false\n" + byENI + "manage = true", true},
		{"perhaps taken by ENI, then excluded by name", byENI + "manage = true\n" + byName + "manage = false", false},
		{"excluded both ways", byName + "manage = false\n" + byENI + "manage = false", false},
		{"all excluded but one device", "manage = false\n" + byDev + "manage = true", true},
		{"link only, whatever else is said", byName + "manage = \"link-up\"\n" + byDev + "refresh = \"5s\"", false},
		{"overridden for certain", byDev + "refresh = \"5s\"\n" + byName + "refresh = \"6s\"", false},
		{"overridden, but not for certain", byName + "refresh = \"6s\"\n" + byDev + "refresh = \"5s\"", true},
		{"two that agree with each other only", byENI + "manage = false\n" + byDev + "manage = false", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustParse(t, tt.text)
			if got := c.NeedsMetadata(Local("eth1", macA, "ena")); got != tt.want {
				t.Errorf("NeedsMetadata = %v, want %v", got, tt.want)
			}
			if c.NeedsMetadata(asked("", 1, 0)) {
				t.Error("NeedsMetadata after the metadata has answered")
			}
		})
	}
}

// TestNeedsMetadataIsRight compares with trying every answer that the metadata could give: where it
// says no, none of them makes a difference that counts.
func TestNeedsMetadataIsRight(t *testing.T) {
	lines := []string{"manage = false", "manage = true", "dhcp = \"off\"", "main_table = false"}
	heads := []string{"name = \"eth1\"", "device_number = 1", "network_card = 0", "driver = \"veth\""}
	answers := []Facts{asked("", 0, 0), asked("", 1, 0), asked("", 0, 1), asked("", 1, 1)}
	for i := range 16 * 16 * 16 {
		var text string
		for n := i; len(text) == 0 || n > 0; n /= 16 {
			text += "[[interface]]\n" + heads[n%4] + "\n" + lines[n/4%4] + "\n"
		}
		c := mustParse(t, text)
		seen := map[Interface]bool{}
		for _, f := range answers {
			iface := c.For(f)
			if iface.Manage != Full {
				iface = Interface{Manage: iface.Manage}
			}
			seen[iface] = true
		}
		if !c.NeedsMetadata(Local("eth1", macA, "ena")) && len(seen) > 1 {
			t.Fatalf("NeedsMetadata is false, but the answer matters, with\n%s", text)
		}
	}
}

func TestLearn(t *testing.T) {
	got := Local("eth1", macA, "ena").Learn(metadata.Interface{ID: "eni-1", DeviceNumber: 2, NetworkCard: 3})
	want := Facts{Name: "eth1", MAC: macA, ENI: "eni-1", DeviceNumber: 2, NetworkCard: 3, Driver: "ena"}
	if got != want {
		t.Errorf("Learn = %+v, want %+v", got, want)
	}
}

// TestNoDeviceNumbers: on a cloud without them no section that names one is for an interface, and the rest is
// known.
func TestNoDeviceNumbers(t *testing.T) {
	c := mustParse(t, "[[interface]]\ndevice_number = 0\nmanage = false\n[[interface]]\nnetwork_card = 0\nmanage = false\n[[interface]]\neni = \"eni-1\"\nmanage = false\n")
	before := Local("eth1", macA, "hv_netvsc")
	after := before.Learn(metadata.Interface{Number: 4711})
	if !c.NeedsMetadata(before) || c.NeedsMetadata(after) || c.For(after).Manage != Full {
		t.Errorf("before %v, after %v, %+v", c.NeedsMetadata(before), c.NeedsMetadata(after), c.For(after))
	}
}

func TestStrings(t *testing.T) {
	got := []string{Full.String(), LinkUp.String(), None.String(), Auto.String(), Native.String(), Off.String()}
	want := []string{"true", "link-up", "false", "auto", "native", "off"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A section that is for the interface, and says manage = true, insists on it; the last one counts.
func TestInsists(t *testing.T) {
	late := Local("eth1", macA, "ena")
	known := late.Learn(metadata.Interface{ID: "eni-1", DeviceNumber: 1})
	for _, tt := range []struct {
		text             string
		insists, certain bool // before the metadata has answered
		insistsKnown     bool
	}{
		{"", false, true, false},
		{"manage = true", false, true, false},
		{"[[interface]]\nname = \"eth1\"\nmanage = true", true, true, true},
		{"[[interface]]\nname = \"eth1\"\ndhcp = \"off\"", false, true, false},
		{"[[interface]]\nname = \"eth2\"\nmanage = true", false, true, false},
		{"[[interface]]\ndevice_number = 1\nmanage = true", false, false, true},
		{"[[interface]]\ndevice_number = 2\nmanage = true", false, false, false},
		{"[[interface]]\nname = \"eth1\"\nmanage = true\n[[interface]]\neni = \"eni-1\"\nmanage = false", true, false, false},
		{"[[interface]]\neni = \"eni-1\"\nmanage = false\n[[interface]]\nname = \"eth*\"\nmanage = true", true, true, true},
	} {
		c := mustParse(t, tt.text)
		if insists, certain := c.Insists(late); insists != tt.insists || certain != tt.certain {
			t.Errorf("%q: %v, certain %v", tt.text, insists, certain)
		}
		if insists, certain := c.Insists(known); insists != tt.insistsKnown || !certain {
			t.Errorf("%q, the metadata known: %v, certain %v", tt.text, insists, certain)
		}
	}
}
