package main

import (
	"os"
	"strings"

	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
)

// peers are the other cloud cards of this host, as the records know them.
func (p *program) peers(s plumb.Snapshot) (out []metadata.MAC) {
	for _, r := range p.store.all() {
		for _, m := range r.Peers {
			if m != s.MAC {
				out = append(out, m)
			}
		}
	}
	return out
}

// settings are the card's, as far as they can be looked up.
func (p *program) settings(r record) config.Card {
	conf, err := config.Load(p.configFile)
	if err != nil {
		return config.Default().Defaults
	}
	return conf.For(config.Local(r.Name, r.MAC, driver(r.Name)).Learn(r.Card))
}

// owns: the card's primary address is ours to add.
func owns(leasing string) bool { return leasing == native || leasing == "off" }

// wouldOwn is ownsAddress for a card on which nothing has been started.
func (a *agent) wouldOwn() bool {
	if a.card.DHCP != config.Auto {
		return true
	}
	_, owned := dhcp.FindOwner(os.DirFS("/"), a.snap.Name, a.snap.Index)
	return !owned && a.foreignAddress() == ""
}

// lines takes joined errors apart.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}
