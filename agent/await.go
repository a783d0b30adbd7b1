package agent

import (
	"context"
	"fmt"
	"os"
	"time"

	"ec2net/config"
	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/state"
)

// Waiting for the address of another program that has the interface, by evidence: its process, its own files
// (dhcp.FindOwner), and what it sends. A program that takes every interface may not have noticed this one, as dhcpcd
// 10.5 does not notice what is plugged in while it runs. So while its address is missing, ec2net listens on the
// interface for a DHCP client of this host.

// awaitsOwner reports whether another program has the lease and has not added an address yet.
func (a *Agent) awaitsOwner() bool {
	if a.await.owner.Program == "" || a.dhcpOwner != a.await.owner.Program || a.settled.Primary {
		return false
	}
	return a.foreignAddress() == "" && !a.record.Foreign && !a.ownsAddress()
}

// hearOwner listens while another program's address is missing and the link has a carrier, and decides when nobody
// will come. The loop calls it before each event; the ticker has it see the deadline.
func (a *Agent) hearOwner(ctx context.Context) {
	w := &a.await
	switch {
	case !a.awaitsOwner():
		w.end()
	case !a.snap.Carrier: // what a client sends is lost, so its silence says nothing
		w.end()
		w.since, w.deaf = time.Time{}, false
	case w.since.IsZero() && !w.deaf:
		a.startHearing(ctx)
	case w.owner.ForAll && !w.deaf && w.sign.At.IsZero() && !time.Now().Before(w.until(a.startedAt)):
		w.end()
		w.unheard, a.dirty = true, true
		a.log.Infof("%s takes every interface, but nobody has asked for a lease on %s for %s: ec2net does not wait for it", a.await.owner.Program, a.snap.Name, ownerSilence)
	}
}

// startHearing opens the socket. Without it, as for want of CAP_NET_RAW, only ownerPatience counts.
func (a *Agent) startHearing(ctx context.Context) {
	w := &a.await
	ctx, w.stop = context.WithCancel(ctx)
	mac := a.snap.MAC
	client := dhcp.Client{Name: a.snap.Name, Index: a.snap.Index, MAC: mac[:]}
	heard, err := client.Hear(ctx)
	if err != nil {
		w.end()
		w.deaf = true
		a.log.Debugf("whether %s asks for a lease cannot be heard: %s", a.await.owner.Program, OneLine(err))
		return
	}
	w.heard, w.since = heard, time.Now()
	a.dirty = true
}

// onHeard takes a sign of another DHCP client into account. A zero one means that the socket was closed.
func (a *Agent) onHeard(h dhcp.Heard) {
	a.await.end()
	a.await.sign, a.await.deaf = h, h.At.IsZero()
	if a.await.deaf {
		a.await.since = time.Time{}
	}
	a.dirty = true
}

// reviewOwner decides anew who has the lease while another program's address is missing: when that program has ended,
// and when it has not asked for a lease and only a lease could tell the address, because the metadata says nothing.
func (a *Agent) reviewOwner() {
	silent := a.await.unheard && a.settled.MAC == (metadata.MAC{}) && (metadata.Closed(a.readErr) || time.Since(a.startedAt) >= Silence)
	switch {
	case a.dhcpOwner != a.await.owner.Program:
	case silent && a.foreignAddress() == "":
		if owner := a.client(); owner != "" {
			a.dhcpOwner, a.dhcpSince = owner, time.Now()
		}
	case a.awaitsOwner() && a.ownerEnded():
		a.log.Infof("%s no longer has the interface, and has added no address", a.await.owner.Program)
		a.await.end()
		a.dhcpOwner, a.await = "", awaitOwner{}
	}
}

// ownerEnded reports whether no program has the interface any more, and systemd is not starting one.
func (a *Agent) ownerEnded() bool {
	_, owned := dhcp.FindOwner(os.DirFS("/"), a.snap.Name, a.snap.Index)
	return !owned && !networkStarts()
}

// awaitText says what shows that another program will add its address, and when ec2net does.
func (a *Agent) awaitText() string {
	if !a.awaitsOwner() {
		return ""
	}
	until := Clock(a.await.until(a.startedAt))
	switch w := a.await; {
	case !w.sign.At.IsZero():
		return fmt.Sprintf(": there was a %s; ec2net adds it at %s", w.sign, until)
	case !w.since.IsZero():
		return fmt.Sprintf(": nobody has asked for a lease there yet; ec2net adds it at %s", until)
	case !a.snap.Carrier:
		return ": the link has no carrier"
	}
	return ""
}

// awaited is the same for the record; nil: nothing is awaited.
func (a *Agent) awaited() *state.Awaited {
	if !a.awaitsOwner() {
		return nil
	}
	w := a.await
	return &state.Awaited{Program: a.await.owner.Program, Heard: w.sign.What, HeardAt: w.sign.At, Until: w.until(a.startedAt)}
}

// ownsAddress reports whether the primary address is ours to add. If another program has the lease, it is once that
// program has failed to add the address that the metadata names: see await.go.
func (a *Agent) ownsAddress() bool {
	switch a.dhcpOwner {
	case native, "off":
		return true
	case "":
		return a.iface.DHCP != config.Auto
	}
	return a.answered && (a.await.unheard || time.Since(a.startedAt) > ownerPatience)
}
