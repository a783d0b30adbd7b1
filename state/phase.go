package state

// Phase is how far the set-up of an interface has got. What is said of it follows from the phase alone: the exit
// status of `up`, READY to systemd, the bits of Record, the metrics, and the word of `status`.
type Phase string

const (
	Unmanaged   Phase = "unmanaged"   // manage = false
	LeftTo      Phase = "left"        // another program has the interface
	Ambiguous   Phase = "ambiguous"   // it may be a virtual function of another interface; nothing is changed
	RolledBack  Phase = "rolled-back" // its last change cut something off, and will be made again later
	Waiting     Phase = "waiting"     // not all that is known of it is in the kernel, or nothing is known yet
	Settling    Phase = "settling"    // set up as far as is known, and more is expected: a lease, an answer, an address
	Unconfirmed Phase = "unconfirmed" // settling, and the metadata, from which more is expected, has been silent for long or is closed
	LinkOnly    Phase = "link-only"   // manage = "link-up", and the link is up
	LeaseOnly   Phase = "lease-only"  // set up by its lease, since the metadata is silent
	Partial     Phase = "partial"     // set up but for something that the log names
	Ready       Phase = "ready"       // set up with all that the cloud grants
)

// Settled reports whether nothing more is expected soon, and `up` returns.
func (p Phase) Settled() bool {
	switch p {
	case Unmanaged, LeftTo, LinkOnly, LeaseOnly, Partial, Ready:
		return true
	}
	return false
}

// Started reports whether systemd is told READY: all that can be had soon is there. An unconfirmed interface works with
// what is known of it, and a unit that waited for the metadata would keep the whole system "starting".
func (p Phase) Started() bool { return p.Settled() || p == Unconfirmed }

// Managed reports whether the kernel holds what ec2net gives the interface, as far as that is known.
func (p Phase) Managed() bool {
	switch p {
	case Settling, Unconfirmed, LeaseOnly, Partial, Ready:
		return true
	}
	return false
}

// InPart reports whether the interface lacks something of what it is granted, and `up` ends with status 4.
func (p Phase) InPart() bool { return p == LeaseOnly || p == Partial }

// Known reports whether it is a phase at all; the record of a process that has just begun has none.
func (p Phase) Known() bool {
	switch p {
	case Unmanaged, LeftTo, Ambiguous, RolledBack, Waiting, Settling, Unconfirmed, LinkOnly, LeaseOnly, Partial, Ready:
		return true
	}
	return false
}

// Enter puts the phase into the record, with the bits that follow from it.
func (r *Record) Enter(p Phase) {
	r.Phase, r.Ready = p, p.Managed()
	r.Set, r.InPart = p.Settled(), p.InPart()
}
