package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"ec2net/metadata"
)

const referenceFile = "../packaging/ec2net.toml"

// reference returns the shipped file and the same with every setting switched on: prose has a blank
// behind its #, settings have none.
func reference(t *testing.T) (shipped, on string) {
	t.Helper()
	b, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	settled := strings.Replace(string(b), "\n#priority = 1000\n", "\n", 1) // an example: the default is not to give it
	return string(b), regexp.MustCompile(`(?m)^#([a-z\[])`).ReplaceAllString(settled, "$1")
}

func TestReferenceIsTheDefault(t *testing.T) {
	shipped, on := reference(t)
	top, _, _ := strings.Cut(on, "\n[[interface]]")
	for name, text := range map[string]string{"as shipped": shipped, "switched on": top} {
		c := mustParse(t, text)
		if c.Defaults != Default().Defaults || len(c.sections) != 0 {
			t.Errorf("%s: %+v, want the defaults %+v", name, c.Defaults, Default().Defaults)
		}
	}
}

// TestReferenceIsComplete wants each key to be shown.
func TestReferenceIsComplete(t *testing.T) {
	shipped, _ := reference(t)
	for _, s := range settings() {
		if !strings.Contains(shipped, "\n#"+s.name+" = ") {
			t.Errorf("the setting %s is not shown", s.name)
		}
	}
	for _, table := range tables() {
		for _, k := range table.keys {
			if !strings.Contains(shipped, "\n#   "+k.name+" ") || !strings.Contains(shipped, "\n#["+table.name+"]\n") || !strings.Contains(shipped, "\n#"+k.name+" = ") {
				t.Errorf("the key %s of [%s] is not explained or has no example", k.name, table.name)
			}
		}
	}
	for _, k := range hostKeys() {
		if !strings.Contains(shipped, "\n#"+k.name+" = ") {
			t.Errorf("the key %s is not shown", k.name)
		}
	}
	for _, m := range matchKeys() {
		if !strings.Contains(shipped, "\n#   "+m.name+" ") || !strings.Contains(shipped, "\n#"+m.name+" = ") {
			t.Errorf("the match key %s is not explained or has no example", m.name)
		}
	}
}

func TestReferenceExamples(t *testing.T) {
	_, on := reference(t)
	c := mustParse(t, on)
	if len(c.sections) < 3 {
		t.Fatalf("%d examples", len(c.sections))
	}
	byENI := Local("ens9", macB, "ena").Learn(metadata.Interface{ID: "eni-0123456789abcdef0", DeviceNumber: 4})
	second := Local("ens9", macB, "ena").Learn(metadata.Interface{NetworkCard: 1})
	for _, tt := range []struct {
		facts Facts
		want  Interface
	}{
		{Local("eth2", macB, "ena"), with(func(c *Interface) { c.Manage = None })},
		{Local("eth3", macB, "ena"), with(func(c *Interface) { c.Manage = LinkUp })},
		{Local("eth3", macB, "veth"), with(nil)},
		{Local("ens9", macA, "ena"), with(func(c *Interface) { c.Refresh = 5 * time.Minute })},
		{byENI, with(func(c *Interface) { c.DHCP, c.MainTable = Off, false })},
		{second, with(func(c *Interface) { c.Wait = 10 * time.Minute })},
	} {
		if got := c.For(tt.facts); got != tt.want {
			t.Errorf("%+v: %+v, want %+v", tt.facts, got, tt.want)
		}
	}
}
