package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ec2net/dhcp"
)

// metric is one family of the metrics file; value says what an interface contributes, if anything.
type metric struct {
	name, kind, help string
	value            func(Record) (float64, bool)
}

// metrics are those of each interface, by the label interface. "interface_info" carries what a person looks for.
func metrics() []metric {
	yes := func(ask func(Record) bool) func(Record) (float64, bool) {
		return func(r Record) (float64, bool) { return map[bool]float64{true: 1}[ask(r)], true }
	}
	since := func(ask func(Record) time.Time) func(Record) (float64, bool) {
		return func(r Record) (float64, bool) { t := ask(r); return float64(t.Unix()), !t.IsZero() }
	}
	return []metric{
		{"ec2net_interface_info", "gauge", "An interface that ec2net knows; always 1.", yes(func(Record) bool { return true })},
		{"ec2net_interface_ready", "gauge", "Whether the interface is set up.", yes(func(r Record) bool { return r.Phase.Managed() })},
		{"ec2net_interface_degraded", "gauge", "Whether the interface runs on its lease alone.", yes(func(r Record) bool { return r.Phase == LeaseOnly })},
		{"ec2net_interface_rolled_back", "gauge", "Whether a change was rolled back because it cut something off.", yes(func(r Record) bool { return r.Phase == RolledBack })},
		{"ec2net_interface_left", "gauge", "Whether the interface is left to another program.", yes(func(r Record) bool { return r.Phase == LeftTo })},
		{"ec2net_interface_addresses", "gauge", "Addresses that the metadata grants.", func(r Record) (float64, bool) {
			return float64(len(r.Interface.Addrs4.Value) + len(r.Interface.Addrs6.Value)), true
		}},
		{"ec2net_interface_repairs_total", "counter", "Repairs since the process started.", func(r Record) (float64, bool) {
			return float64(r.Repairs), true
		}},
		{"ec2net_metadata_last_read_timestamp_seconds", "gauge", "When the metadata last answered.", since(func(r Record) time.Time { return r.ReadAt })},
		{"ec2net_lease_expiry_timestamp_seconds", "gauge", "When the DHCP lease ends.", since(leaseEnd)},
	}
}

func leaseEnd(r Record) time.Time {
	if r.Lease == nil || r.Lease.Expires == dhcp.Infinite {
		return time.Time{}
	}
	return r.Lease.Start.Add(r.Lease.Expires)
}

// metricsText is the file, in the format that Prometheus calls text-based exposition.
func metricsText(list []Record) string {
	var b strings.Builder
	for _, m := range metrics() {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, m.kind)
		for _, r := range list {
			labels := label("interface", r.Name)
			if strings.HasSuffix(m.name, "_info") {
				labels += "," + strings.Join([]string{label("eni", r.Interface.ID), label("mac", r.MAC.String()), label("table", fmt.Sprint(r.Table())), label("dhcp", r.DHCP)}, ",")
			}
			if v, ok := m.value(r); ok {
				fmt.Fprintf(&b, "%s{%s} %.0f\n", m.name, labels, v)
			}
		}
	}
	return b.String()
}

func label(name, value string) string {
	return name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(value, "?")) + `"`
}

// replaceMetrics puts a text that everybody may read in a file's place at once. It writes beside it, and
// through no link.
func replaceMetrics(file, text string) error {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, withoutPath(err))
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", file, withoutPath(err))
	}
	return nil
}
