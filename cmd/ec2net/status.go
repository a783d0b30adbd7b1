package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ec2net/plumb"
)

func (p *program) statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status [IF]",
		Short: "show the cards that ec2net set up",
		Long: `Show the cards that ec2net set up: ENI, addresses, routing table, lease, and
whether the kernel still is as it was set up. Nothing is asked of the cloud.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fail(exitUsage, "%s takes one card at most", c.CommandPath())
			}
			return names(c, args)
		},
		RunE: func(_ *cobra.Command, args []string) error { return p.status(args) },
	}
	c.Flags().BoolVar(&p.json, "json", false, "print JSON")
	return c
}

// cardStatus is what status knows of one card.
type cardStatus struct {
	record
	Process int      `json:"process"` // that keeps the card; 0: nobody
	Present bool     `json:"present"`
	Tables  []string `json:"nftables,omitempty"` // what the card's nftables table does
	Drift   []string `json:"drift"`              // what the kernel lacks or has too much
}

func (p *program) status(args []string) error {
	list := []cardStatus{}
	for _, r := range p.store.all() {
		if len(args) == 0 || slices.Contains(args, r.Name) {
			list = append(list, p.look(r))
		}
	}
	if p.json {
		e := json.NewEncoder(p.out)
		e.SetIndent("", "  ")
		return e.Encode(list)
	}
	if len(list) == 0 {
		p.log.Info("no card is set up by ec2net")
		return nil
	}
	for _, c := range list {
		if err := p.show(c); err != nil {
			return err
		}
	}
	return p.showRefused()
}

// look compares the record with the kernel.
func (p *program) look(r record) cardStatus {
	c := cardStatus{record: r, Process: p.store.holder(r.Name), Drift: []string{}}
	link, err := plumb.Open(r.Name)
	if err != nil {
		return c
	}
	defer link.Close()
	link.Packets, link.Numbers, link.Peers = r.Packets, r.Numbers, p.peers(plumb.Snapshot{})
	have, err := link.Read()
	if errors.Is(err, plumb.ErrGone) || have.MAC != r.MAC {
		return c
	}
	c.Present, c.Tables = true, texts(have.Packets)
	if !r.Ready || r.Card.MAC != r.MAC {
		return c
	}
	conf, _ := p.config()
	want, _ := wanted(r.Cloud, p.settings(r), plumb.Input{
		Card: r.Card, Lease: r.Lease, Have: have, OwnAddress: owns(r.DHCP),
		Egress: r.Egress.wanted(), Services: services(r.Cloud, conf), Before: r.Before,
	})
	for _, o := range plumb.Diff(have.State, want) {
		c.Drift = append(c.Drift, o.String())
	}
	return c
}

func (p *program) show(c cardStatus) error {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	row := func(k, v string) {
		if v != "" {
			fmt.Fprintf(w, "  %s\t%s\n", k, v)
		}
	}
	fmt.Fprintf(w, "%s: %s\n", c.Name, c.State)
	row("ENI", c.Card.ID)
	row("MAC", c.MAC.String())
	row("addresses", strings.Join(append(texts(c.Card.Addrs4.Value), texts(c.Card.Addrs6.Value)...), " "))
	row("prefixes", strings.Join(append(texts(c.Card.Prefixes4.Value), texts(c.Card.Prefixes6.Value)...), " "))
	row("lease", leaseText(c.record))
	row("metadata", age(c.ReadAt))
	row("egress", c.Egress.text())
	row("nftables", strings.Join(c.Tables, "\n  \t"))
	row("kept by", keptBy(c))
	row("drift", drift(c))
	return w.Flush()
}

func leaseText(r record) string {
	if r.Lease == nil {
		return r.DHCP
	}
	return fmt.Sprintf("%s by %s from %s, %s", r.Lease.Addr, r.DHCP, r.Lease.Server, until(r.Lease))
}

func age(t time.Time) string {
	if t.IsZero() {
		return "never answered"
	}
	return "read " + since(t) + " ago"
}

func keptBy(c cardStatus) string {
	if c.Process == 0 {
		return "nobody (set up once, by hand)"
	}
	return fmt.Sprintf("process %d, %s", c.Process, plural(c.Repairs, "repair", "repairs"))
}

func drift(c cardStatus) string {
	switch {
	case !c.Present:
		return "the card is gone (ec2net down " + c.Name + " clears up)"
	case len(c.Drift) == 0:
		return "none"
	}
	return strings.Join(c.Drift, "\n  \t")
}
