package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ec2net/dhcp"
)

// metric is one family of the metrics file; value says what a card contributes, if anything.
type metric struct {
	name, kind, help string
	value            func(record) (float64, bool)
}

// metrics are those of each card, by the label card. "card_info" carries what a person looks for.
func metrics() []metric {
	yes := func(ask func(record) bool) func(record) (float64, bool) {
		return func(r record) (float64, bool) { return map[bool]float64{true: 1}[ask(r)], true }
	}
	since := func(ask func(record) time.Time) func(record) (float64, bool) {
		return func(r record) (float64, bool) { t := ask(r); return float64(t.Unix()), !t.IsZero() }
	}
	return []metric{
		{"ec2net_card_info", "gauge", "A card that ec2net knows; always 1.", yes(func(record) bool { return true })},
		{"ec2net_card_ready", "gauge", "Whether the card is set up.", yes(func(r record) bool { return r.Ready })},
		{"ec2net_card_degraded", "gauge", "Whether the card runs on its lease alone.", yes(record.degraded)},
		{"ec2net_card_undone", "gauge", "Whether a change was undone because it cut something off.", yes(func(r record) bool { return r.Undone != nil })},
		{"ec2net_card_yielded", "gauge", "Whether the card is left to another program.", yes(func(r record) bool { return r.Yielded != "" })},
		{"ec2net_card_addresses", "gauge", "Addresses that the metadata grants.", func(r record) (float64, bool) {
			return float64(len(r.Card.Addrs4.Value) + len(r.Card.Addrs6.Value)), true
		}},
		{"ec2net_card_repairs_total", "counter", "Times that something was put back, since the process began.", func(r record) (float64, bool) {
			return float64(r.Repairs), true
		}},
		{"ec2net_metadata_last_read_timestamp_seconds", "gauge", "When the metadata last answered.", since(func(r record) time.Time { return r.ReadAt })},
		{"ec2net_lease_expiry_timestamp_seconds", "gauge", "When the DHCP lease ends.", since(leaseEnd)},
	}
}

func leaseEnd(r record) time.Time {
	if r.Lease == nil || r.Lease.Expires == dhcp.Infinite {
		return time.Time{}
	}
	return r.Lease.Start.Add(r.Lease.Expires)
}

// metricsText is the file, in the format that Prometheus calls text-based exposition.
func metricsText(list []record) string {
	var b strings.Builder
	for _, m := range metrics() {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, m.kind)
		for _, r := range list {
			labels := label("card", r.Name)
			if strings.HasSuffix(m.name, "_info") {
				labels += "," + strings.Join([]string{label("eni", r.Card.ID), label("mac", r.MAC.String()), label("table", fmt.Sprint(tableOf(r))), label("dhcp", r.DHCP)}, ",")
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

// replaceFile puts a text that everybody may read in a file's place at once. It writes beside it, and
// through no link.
func replaceFile(file, text string) error {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, nameless(err))
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", file, nameless(err))
	}
	return nil
}

// nameless is an error without the name of the temporary file, which is another one each time: what is the
// same trouble is said once.
func nameless(err error) error {
	var path *fs.PathError
	var link *os.LinkError // of a rename
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
