package doctor

import (
	"fmt"
	"net/netip"
	"slices"
)

// Verdict is what a check found.
type Verdict uint8

// The verdicts, the best first.
const (
	OK      Verdict = iota
	Unknown         // it could not be checked
	Warn            // it works now, and may not tomorrow
	Fail            // something does not work
)

func (v Verdict) String() string { return [...]string{"ok", "unknown", "warn", "fail"}[v] }

// MarshalText makes a verdict readable in JSON.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (v *Verdict) UnmarshalText(b []byte) error {
	for k := OK; k <= Fail; k++ {
		if string(b) == k.String() {
			*v = k
			return nil
		}
	}
	return fmt.Errorf("%.40q is not a verdict", b)
}

// Finding is what one check says of one interface, or of the host.
type Finding struct {
	ID        string   `json:"id"`
	Verdict   Verdict  `json:"verdict"`
	Interface string   `json:"interface,omitempty"` // empty: of the host
	Summary   string   `json:"summary,omitempty"`
	Evidence  []string `json:"evidence"`
	Remedy    string   `json:"remedy,omitempty"`
	// Consequences are findings that this one explains: they go when it goes.
	Consequences []Finding `json:"consequences"`

	about []netip.Addr // the addresses that it is about; none: all of the interface's
	also  string       // another interface whose trouble may be behind it
}

// causesOf are the findings that explain one: of the same interface, or of the host. A check knows nothing of the
// others; what follows from what is here.
func causesOf(id string) []string {
	// While the configuration has an error, what should be there is not known: what it may say otherwise is last.
	return map[string][]string{
		"set-up":          {"rolled-back", "config"},
		"link":            {"set-up"},
		"carrier":         {"link", "set-up"},
		"mtu":             {"set-up"},
		"group":           {"set-up", "degraded"},
		"altname":         {"set-up", "degraded"},
		"address":         {"vf", "networkd", "rolled-back", "set-up", "degraded", "ipv6", "link", "manager", "config"},
		"table":           {"table-collision", "networkd", "rolled-back", "set-up", "degraded", "ipv6", "link", "address", "manager"},
		"main-route":      {"networkd", "rolled-back", "set-up", "degraded", "ipv6", "link", "address", "manager", "config"},
		"guard":           {"networkd", "rolled-back", "set-up", "degraded", "ipv6", "manager"},
		"source-rule":     {"networkd", "rolled-back", "set-up", "degraded", "address", "ipv6", "manager", "config"},
		"egress-rule":     {"networkd", "rolled-back", "set-up", "degraded", "link", "table", "config"},
		"nat-rule":        {"networkd", "rolled-back", "set-up", "degraded", "link", "table", "config"},
		"left-out":        {"table-collision", "rolled-back", "set-up", "degraded", "link", "address", "metadata"},
		"packets":         {"set-up", "rolled-back", "degraded", "config"},
		"mark-rule":       {"networkd", "set-up", "rolled-back", "degraded", "config"},
		"forwarding":      {"set-up", "rolled-back", "degraded", "nat-rule", "config"},
		"src-valid-mark":  {"set-up", "rolled-back", "degraded", "config"},
		"leftover":        {"set-up", "degraded", "link", "ipv6", "config"},
		"extra-address":   {"manager", "vf"},
		"moved-address":   {"vf"},
		"main-default":    {"manager", "link"},
		"table-collision": {"manager"},
		"leave": {"source-rule", "rule-in-front", "rule-collision", "table-collision", "link", "address", "table", "group",
			"set-up", "degraded", "vf", "guard", "ipv6", "networkd", "rolled-back"},
		"enter": {"leave", "source-rule", "rule-in-front", "rule-collision", "table-collision", "link", "address", "table",
			"group", "set-up", "degraded", "vf", "ipv6", "networkd", "rolled-back"},
		"metadata":    {"metadata-route"},
		"reading-age": {"metadata", "metadata-route", "process"},
		"record":      {"room", "process"},
		"degraded":    {"metadata", "metadata-route"},
		"process":     {"config"},
		"unit":        {"process", "config", "set-up"},
		"lease":       {"process", "link", "carrier", "manager"},
		"renewal":     {"process", "link", "carrier", "manager"},
	}[id]
}

// sortOut puts findings under those that explain them, the worst first.
func sortOut(list []Finding) []Finding {
	parents := make([]int, len(list))
	for i, f := range list {
		parents[i] = parent(list, f)
	}
	var roots []Finding
	for i, f := range list {
		if parents[i] < 0 {
			f.Consequences = consequences(list, parents, i)
			for _, c := range f.Consequences {
				f.Verdict = max(f.Verdict, c.Verdict)
			}
			roots = append(roots, f)
		}
	}
	slices.SortStableFunc(roots, func(a, b Finding) int { return int(b.Verdict) - int(a.Verdict) })
	return roots
}

// consequences are all findings whose first cause is i, at any distance.
func consequences(list []Finding, parents []int, i int) (out []Finding) {
	for k, p := range parents {
		if p == i {
			out = append(append(out, list[k]), consequences(list, parents, k)...)
		}
	}
	return out
}

// parent is the finding that explains f best, or -1.
func parent(list []Finding, f Finding) int {
	if f.Verdict < Warn {
		return -1
	}
	for _, id := range causesOf(f.ID) {
		for i, c := range list {
			if c.ID == id && c.Verdict >= Warn && c.reaches(f) && c.covers(f) {
				return i
			}
		}
	}
	return -1
}

// reaches: the cause is of the same interface, of the host, or of all its interfaces: the groups, which the guard
// rules of the others ask for, and the rules of [nat], for which another interface forwards.
func (f Finding) reaches(effect Finding) bool {
	same := f.Interface == effect.Interface || f.Interface == effect.also
	return same || f.Interface == "" || f.ID == "group" || f.ID == "nat-rule"
}

// covers: a cause that is about some addresses explains only what is about them.
func (f Finding) covers(effect Finding) bool {
	if len(f.about) == 0 {
		return true
	}
	return len(effect.about) == 0 || slices.ContainsFunc(effect.about, func(a netip.Addr) bool { return slices.Contains(f.about, a) })
}
