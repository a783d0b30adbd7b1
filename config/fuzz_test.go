package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/pelletier/go-toml/v2"

	"ec2net/metadata"
)

// harmless reports whether a text can be written to a terminal: one line, nothing that steers it.
func harmless(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// FuzzParse compares with what the library's own decoder reads from the same bytes.
func FuzzParse(f *testing.F) {
	for _, tt := range badFiles {
		if len(tt.text) < 1000 {
			f.Add([]byte(tt.text))
		}
	}
	f.Add([]byte(layered))
	f.Add([]byte("[egress]\ninterface = \"eth2\"\n[[interface]]\nname = \"a\"\n"))
	f.Add([]byte("[nat]\nin = \"eth3\"\nfrom = [\"172.22.5.128/26\", '10.0.0.0/8']\nout = \"eth2\"\n[egress]\ninterface = \"eth2\""))
	f.Add([]byte("[egress]\ninterface = [\n'eth2' , # two\n\"eth3\" ]\n"))
	f.Add([]byte("\xef\xbb\xbfmanage = false\r\n[[interface]]\r\nname = 'eth*'\r\n[[interface]]\nmac='02000000000a'\ndevice_number=0b11 # three\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse("x.toml", bytes.Clone(b))
		if err != nil {
			wantLegible(t, err, b)
			return
		}
		if diff := unlike(c, b); diff != "" {
			t.Errorf("%s\n%q", diff, b)
		}
	})
}

// FuzzItems compares with how many items the decoder finds in a list.
func FuzzItems(f *testing.F) {
	for _, list := range []string{"", `"a",`, "'a' , # b, ]\n\"\"\"c\"]\"\"\"", `[["a", {b = ","}], []], '\', "\"", 1, -1.5e3, 2026-11-30 17:00:00`, "'''a'b''''", `"\\"`} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		list = "[" + list + "]"
		var want struct{ X []any }
		if err := toml.Unmarshal([]byte("X = "+list), &want); err != nil {
			return
		}
		if got := items([]byte(list)); len(got) != len(want.X) {
			t.Errorf("%q: items at %d, the decoder has %q", list, got, want.X)
		}
	})
}

// wantLegible checks that each problem is one clean line and lies within the document.
func wantLegible(t *testing.T, err error, doc []byte) {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) > maxProblems+1 {
		t.Fatalf("not a list of problems: %v", err)
	}
	end := bytes.Count(doc, []byte("\n")) + 1
	for _, e := range joined.Unwrap() {
		var p *Problem
		if !harmless(e.Error()) || len(e.Error()) > 1000 {
			t.Errorf("not fit for a terminal: %q", e)
		}
		if errors.As(e, &p) && (p.Line < 1 || p.Line > end || p.Column < 1 || p.Column > len(doc)+1) {
			t.Errorf("outside of the document: %v", e)
		}
	}
}

// file is the document as the library's decoder sees it.
type file struct {
	Manage    any
	DHCP      string `toml:"dhcp"`
	MainTable *bool  `toml:"main_table"`
	Prefixes  string
	Refresh   string
	Release   string
	Wait      string
	Metrics   string `toml:"metrics_file"`
	Priority  uint32
	Interface []fileInterface
	Egress    *struct{ Interface any }
	NAT       *struct {
		From    any
		Out, In string
	}
}

type fileInterface struct {
	file
	Name, MAC, ENI, Driver string
	DeviceNumber           *int `toml:"device_number"`
	NetworkCard            *int `toml:"network_card"`
}

// unlike says how an accepted document differs from what the library's decoder reads, or "".
func unlike(c Config, b []byte) string {
	var want file
	d := toml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))).DisallowUnknownFields()
	if err := d.Decode(&want); err != nil {
		return fmt.Sprintf("accepted, but the decoder says: %v", err)
	}
	if iface := want.over(Default().Defaults); c.Defaults != iface {
		return fmt.Sprintf("defaults %+v, the decoder's %+v", c.Defaults, iface)
	}
	if c.Defaults.Priority != want.Priority {
		return fmt.Sprintf("priority %d, the decoder's %d", c.Defaults.Priority, want.Priority)
	}
	if c.MetricsFile != want.Metrics {
		return fmt.Sprintf("metrics in %q, the decoder's %q", c.MetricsFile, want.Metrics)
	}
	if got, iface := fmt.Sprint(c.Egress.names()), want.egress(); got != iface {
		return fmt.Sprintf("egress by %s, the decoder's %s", got, iface)
	}
	if want.NAT != nil && (c.NAT.Out.Name != want.NAT.Out || c.NAT.In.Name != want.NAT.In || !strings.Contains(fmt.Sprint(want.NAT.From), c.NAT.From[0].Prefix.String())) {
		return fmt.Sprintf("NAT %+v, the decoder's %+v", c.NAT, want.NAT)
	}
	if len(c.sections) != len(want.Interface) {
		return fmt.Sprintf("%d sections, the decoder's %d", len(c.sections), len(want.Interface))
	}
	for i, s := range c.sections {
		got := c.Defaults
		s.override(&got)
		if iface := want.Interface[i].over(c.Defaults); got != iface {
			return fmt.Sprintf("section %d: %+v, the decoder's %+v", i, got, iface)
		}
		if f := want.Interface[i].facts(); !strings.ContainsAny(f.Name, `*?[\`) && s.verdict(f) != yes {
			return fmt.Sprintf("section %d does not match %+v", i, f)
		}
	}
	return ""
}

// names are the interfaces without their places.
func (e Egress) names() (out []any) {
	for _, c := range e.Interfaces {
		out = append(out, c.Name)
	}
	return out
}

func (f file) egress() string {
	switch {
	case f.Egress == nil:
		return "[]"
	case reflect.TypeOf(f.Egress.Interface).Kind() == reflect.String:
		return fmt.Sprint([]any{f.Egress.Interface})
	}
	return fmt.Sprint(f.Egress.Interface)
}

// over puts the settings of a decoded table over others.
func (f file) over(iface Interface) Interface {
	switch f.Manage {
	case true:
		iface.Manage = Full
	case "link-up":
		iface.Manage = LinkUp
	case false:
		iface.Manage = None
	}
	for d := range Off + 1 {
		if f.DHCP == d.String() {
			iface.DHCP = d
		}
	}
	if f.Priority != 0 {
		iface.Priority = f.Priority
	}
	if f.MainTable != nil {
		iface.MainTable = *f.MainTable
	}
	for p := range PrefixOff + 1 {
		if f.Prefixes == p.String() {
			iface.Prefixes = p
		}
	}
	if d, err := time.ParseDuration(f.Refresh); err == nil {
		iface.Refresh = d
	}
	if d, err := time.ParseDuration(f.Release); err == nil {
		iface.Release = d
	}
	if d, err := time.ParseDuration(f.Wait); err == nil {
		iface.Wait = d
	}
	return iface
}

// facts returns an interface for which the section is meant, unless its name is a pattern.
func (f fileInterface) facts() Facts {
	facts := Facts{Name: f.Name, ENI: f.ENI, Driver: f.Driver}
	facts.MAC, _ = metadata.ParseMAC(f.MAC)
	if f.DeviceNumber != nil {
		facts.DeviceNumber = *f.DeviceNumber
	}
	if f.NetworkCard != nil {
		facts.NetworkCard = *f.NetworkCard
	}
	return facts
}
