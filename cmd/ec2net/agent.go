package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/sirupsen/logrus"

	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
)

const (
	// silence is how long the metadata may say nothing of the card before a lease alone has to do.
	silence = 10 * time.Second
	// leasePatience is how long a card that the metadata knows waits for its lease before it counts
	// as set up without one: address and gateway are known, only the MTU may not be.
	leasePatience = 10 * time.Second
	// confirmAfter is when the metadata is asked again about an address that it no longer lists.
	confirmAfter = time.Second
	// youthful cards are asked about every few seconds: that is when addresses are still arriving.
	youth, youthRefresh = time.Minute, 5 * time.Second
)

// gatewayEC2 answers on every subnet of EC2 (docs.aws.amazon.com, VPC, "Configure route tables").
var gatewayEC2 = netip.MustParseAddr("fe80:ec2::1")

// agent keeps one card right: what the metadata, the lease and the kernel say comes in as events,
// and after each the kernel is reconciled. `up` and `run` are the same agent with another end.
type agent struct {
	link   *plumb.Link
	cloud  *metadata.EC2
	config config.Config
	card   config.Card
	facts  config.Facts
	store  store
	lock   *cardLock // run's
	// formerly are names that the card is recorded under and has no more.
	formerly []string
	log      logrus.FieldLogger
	stays    bool // run: keep the card until it is gone

	begun    time.Time
	snap     plumb.Snapshot
	record   record
	settled  metadata.Interface // what the last two readings together grant
	last     metadata.Interface // the last reading
	answered bool               // the metadata has answered in this process
	readErr  error              // of the last reading
	attempt  int                // failed readings in a row

	lease    *dhcp.Lease
	leasing  string // who has the lease: "native", "off", "dhclient (…)"
	leaseErr error
	leaseAt  time.Time // since when the native client tries
	leases   leases

	converged bool
	degraded  bool
	unsaved   bool              // there is news for the record
	partial   bool              // the last reading left keys open
	said      map[string]string // what was last complained about, by source
	repairs   repairs
	progress  func(string)
}

// errGone ends the agent of a card that was taken away.
var errGone = errors.New("the card is gone")

func (p *program) newAgent(name string) (*agent, error) {
	conf, err := p.config()
	if err != nil {
		return nil, err
	}
	link, snap, err := p.open(name)
	if err != nil {
		return nil, err
	}
	a := &agent{
		link: link, snap: snap, config: conf, facts: facts(snap), store: p.store,
		log:      p.log.WithField("card", snap.Name),
		begun:    time.Now(),
		leases:   leases{events: make(chan dhcp.Event, 8), carrier: make(chan bool, 1)},
		progress: func(string) {}, said: map[string]string{},
	}
	a.card = conf.For(a.facts)
	a.remember()
	return a, nil
}

// remember takes over what an earlier process left: on disk what the kernel can not say, and from
// the kernel the last known good of the metadata.
func (a *agent) remember() {
	a.record = record{
		Name: a.snap.Name, Index: a.snap.Index, MAC: a.snap.MAC,
		Before: &plumb.Before{Link: a.snap.Link, AltNames: a.snap.AltNames},
	}
	for _, old := range a.store.all() {
		same := old.MAC == a.snap.MAC
		if old.Name != a.snap.Name && !same {
			continue
		}
		// Of this card, or of one that had its name before: its rules may be left.
		a.link.Numbers = append(a.link.Numbers, old.Numbers...)
		if same {
			a.record.Numbers, a.record.Lease = old.Numbers, old.Lease
		}
		if same && old.Index == a.snap.Index {
			a.record.Before, a.record.Card, a.record.ReadAt = old.Before, old.Card, old.ReadAt
		}
		if old.Name != a.snap.Name {
			a.formerly = append(a.formerly, old.Name)
		}
	}
	if fresh, err := a.link.Read(); err == nil {
		a.snap = fresh
		a.settled = fresh.Granted()
		if a.last = a.settled; a.last.MAC == (metadata.MAC{}) {
			a.last = fresh.Held()
		}
	}
}

// connect prepares the metadata client.
func (a *agent) connect() (err error) {
	a.cloud, err = metadata.NewEC2(metadata.EC2Options{})
	if err != nil {
		return fail(exitUsage, "%w", err)
	}
	return nil
}

// want is what plumb asks on every pass.
func (a *agent) want(s plumb.Snapshot) (plumb.State, error) {
	a.seen(s)
	if a.config.NeedsMetadata(a.facts) {
		return s.State, nil // whether the card is ours at all hangs on what the metadata will say
	}
	if a.card.Manage == config.LinkUp || !a.known() {
		return plumb.Keep(s), nil
	}
	card := a.settled
	if a.degraded {
		card = metadata.Interface{}
	}
	w, err := plumb.Want(plumb.Input{
		Card: card, Lease: a.lease, Have: s,
		OwnAddress: a.ownsAddress(), MainTable: a.card.MainTable, Gateway6: gatewayEC2,
	})
	if werr := a.writeAhead(w); werr != nil {
		return plumb.Keep(s), werr
	}
	return w, err
}

// seen takes note of what the kernel says, and passes the carrier on to the DHCP client.
func (a *agent) seen(s plumb.Snapshot) {
	if s.Carrier != a.snap.Carrier {
		a.leases.signal(s.Carrier)
	}
	if a.snap = s; a.record.Name != s.Name {
		a.renamed(s.Name)
	}
}

// known: there is something to set up.
func (a *agent) known() bool { return a.degraded || a.settled.MAC != (metadata.MAC{}) }

// writeAhead puts on disk which rules are about to be this card's, before the kernel gets them: a
// rule outlives the card, and only the record says whose it was.
func (a *agent) writeAhead(w plumb.State) error {
	added := false
	for _, n := range w.Numbers() {
		if !has(a.record.Numbers, n) {
			a.record.Numbers, added = append(a.record.Numbers, n), true
		}
	}
	if !added {
		return nil
	}
	return a.save()
}

func has(list []int, n int) bool {
	for _, x := range list {
		if x == n {
			return true
		}
	}
	return false
}

func (a *agent) save() error {
	a.record.Card, a.record.Lease, a.record.DHCP, a.record.Peers = a.settled, a.lease, a.leasing, a.link.Peers
	a.record.State, a.record.Ready, a.record.Set = a.state(), a.converged, a.set()
	for _, name := range a.formerly {
		if err := a.store.remove(name); err != nil {
			return err
		}
	}
	a.formerly = nil
	return a.store.save(a.record)
}

// converge reconciles the kernel and says what changed. Only a card that is gone, or the end of
// ctx, is an error.
func (a *agent) converge(ctx context.Context) error {
	a.degrade()
	done, err := a.link.Reconcile(ctx, a.want)
	switch {
	case errors.Is(err, plumb.ErrGone):
		return errGone
	case ctx.Err() != nil:
		return nil
	}
	a.announce(done)
	was := a.converged
	a.converged = a.known() && !errors.Is(err, plumb.ErrNoAddress) && !errors.Is(err, plumb.ErrNotConverged)
	a.complain(fromKernel, err)
	if a.unsaved || len(done) > 0 || was != a.converged {
		return a.saved()
	}
	return nil
}

// saved writes the record; a full disk is no reason to give the card up.
func (a *agent) saved() error {
	a.unsaved = false
	if err := a.save(); err != nil {
		a.complain(fromDisk, err)
	}
	return nil
}

// lone: there is a lease, and the metadata has never said anything of the card.
func (a *agent) lone() bool {
	return a.lease != nil && a.settled.MAC == (metadata.MAC{}) && a.card.Manage == config.Full
}

// degrade decides whether the card has to run on its lease alone.
func (a *agent) degrade() {
	off := errors.Is(a.readErr, metadata.ErrDisabled)
	degraded := a.lone() && (off || time.Since(a.begun) >= silence)
	if degraded && !a.degraded {
		a.log.Warnf("degraded: running on the lease of %s alone, because the metadata says nothing: %v", a.lease.Addr, a.readErr)
	}
	if !degraded && a.degraded {
		a.log.Info("the metadata answers again: no longer degraded")
	}
	a.degraded = degraded
}

const announced = 12 // operations on one log line

// announce is one log line for one change.
func (a *agent) announce(done plumb.Plan) {
	if len(done) == 0 {
		return
	}
	if !a.stays {
		for _, o := range done {
			a.log.Info(o)
		}
		return
	}
	text := ""
	for i, o := range done[:min(len(done), announced)] {
		if i > 0 {
			text += "; "
		}
		text += o.String()
	}
	if more := len(done) - announced; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	a.log.Info(text)
}

// complain logs what is wrong with a source, when that is new.
func (a *agent) complain(source string, err error) {
	text := ""
	if err != nil && !errors.Is(err, plumb.ErrNoAddress) {
		text = err.Error()
	}
	if text != "" && text != a.said[source] {
		a.log.Warnf("%s: %s", source, text)
	}
	a.said[source] = text
}

// troubled: something of the card could not be set up.
func (a *agent) troubled() bool { return a.said[fromKernel] != "" || a.said[fromCloud] != "" }

// The sources of complaints.
const (
	fromKernel = "set-up"
	fromCloud  = "metadata"
	fromDisk   = "state file"
)
