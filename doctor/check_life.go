package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ec2net/dhcp"
	"ec2net/state"
)

// checkLease goes by T1 and T2 (RFC 2131 section 4.4.5): a lease is overdue when half of the time between them is over and
// it was not renewed, since a client then has asked several times. The end of a lease takes no address away that the
// metadata confirms. A lease of another program's is that program's.
func checkLease(f Facts, c Interface) []Finding {
	l := c.Lease
	if l == nil || c.Leasing != "native" || l.Expires == dhcp.Infinite {
		return nil
	}
	age := f.Now.Sub(l.Start)
	late := l.Renew + (l.Rebind-l.Renew)/2
	evidence := []string{fmt.Sprintf("%s from %s, obtained %s; to be renewed after %s, ends after %s", l.Addr, l.Server, l.Start.Format(time.DateTime), l.Renew, l.Expires)}
	remedy := "no process manages the interface: " + c.start()
	if c.AgentPID != 0 {
		remedy = "see what the DHCP server answers: journalctl -u " + c.unit()
	}
	switch {
	case age >= l.Expires:
		return []Finding{{ID: "lease", Verdict: Warn, Interface: c.Name, Summary: "its lease has expired; its configuration stays, because the metadata confirms it", Evidence: evidence, Remedy: remedy}}
	case age >= late:
		return []Finding{{ID: "renewal", Verdict: Warn, Interface: c.Name, Summary: "its lease is overdue for renewal", Evidence: evidence, Remedy: remedy}}
	}
	return nil
}

// checkHost says that the host itself lives by what ec2net gave the interface, which is as it should be.
func checkHost(_ Facts, c Interface) []Finding {
	if !c.Hosts || c.Owner != nil {
		return nil
	}
	out := Finding{ID: "host", Verdict: OK, Interface: c.Name, Summary: "nobody else configures it: ec2net takes its lease and sets the host's default route, but does not set up DNS"}
	if l := c.Lease; l != nil {
		out.Evidence = []string{fmt.Sprintf("%s from %s", l.Addr, l.Server)}
	}
	return []Finding{out}
}

// checkProcess finds a process that holds the interface's lock and does nothing (state T of proc_pid_stat(5)), and one that
// ended without having said so. One that was stopped by its unit is checkUnit's.
func checkProcess(_ Facts, c Interface) []Finding {
	if c.Stopped != "" {
		return []Finding{{
			ID: "process", Verdict: Fail, Interface: c.Name, Summary: "the process that manages it is stopped: changes in the cloud are not applied, and the lease is not renewed",
			Evidence: []string{c.Stopped}, Remedy: fmt.Sprintf("kill -CONT %d", c.AgentPID),
		}}
	}
	if !c.Died {
		return nil
	}
	return []Finding{{
		ID: "process", Verdict: Fail, Interface: c.Name, Summary: "the process that managed it has died: changes in the cloud are no longer applied",
		Remedy: "systemctl restart " + c.unit(),
	}}
}

// checkAge: a process that keeps the interface reads the metadata again and again.
func checkAge(f Facts, c Interface) []Finding {
	if c.AgentPID == 0 || c.ReadAt.IsZero() {
		return nil
	}
	age := f.Now.Sub(c.ReadAt)
	if age < max(10*c.Refresh, 5*time.Minute) {
		return nil
	}
	return []Finding{{
		ID: "reading-age", Verdict: Warn, Interface: c.Name, Summary: "its process has had no answer from the metadata for " + age.Round(time.Second).String(),
		Remedy: "journalctl -u " + c.unit() + " says why",
	}}
}

// checkDegraded warns of an interface that was set up by its DHCP lease alone, because the metadata did not answer: the lease
// has only one of its addresses.
func checkDegraded(_ Facts, c Interface) []Finding {
	if c.Degraded == "" {
		return nil
	}
	remedy := "wait: it moves to its own table once the metadata answers"
	if c.AgentPID == 0 {
		remedy = "once the metadata answers: " + again(c)
	}
	return []Finding{{
		ID: "degraded", Verdict: Warn, Interface: c.Name, Summary: "it runs without the metadata: only one of its addresses answers", Evidence: []string{c.Degraded},
		Remedy: remedy,
	}}
}

// checkRolledBack: a change that cut the host off was taken back, and is not made for a while.
func checkRolledBack(_ Facts, c Interface) []Finding {
	if len(c.RolledBack) == 0 {
		return nil
	}
	then := "systemctl reload " + c.unit()
	if c.AgentPID == 0 {
		then = again(c)
	}
	return []Finding{{
		ID: "rolled-back", Verdict: Fail, Interface: c.Name, Summary: "its last change was rolled back, because it cut something off", Evidence: c.RolledBack,
		Remedy: "remove the cause shown above; then " + then,
	}}
}

// checkEgress: the host's own traffic was to leave by the interface, and does not.
func checkEgress(f Facts, c Interface) []Finding {
	if len(c.Egress.Failing()) == 0 {
		return nil
	}
	return []Finding{{
		ID: "egress", Verdict: Warn, Interface: c.Name, Summary: "the host's own traffic does not leave by it, although [egress] says so", Evidence: []string{c.Egress.Text()},
		Remedy: letLead(f, c),
	}}
}

// letLead is what lets the host's own traffic leave by the interface. Only its process tries again by itself.
func letLead(f Facts, c Interface) string {
	do, then := "fix the cause shown above", "ec2net retries by itself"
	switch failing := c.Egress.Failing(); {
	case slices.Contains(failing, state.EgressUnprotected):
		do = protect(f)
	case slices.Contains(failing, state.EgressGateway), slices.Contains(failing, state.EgressNoGateway):
		do = "find out why its gateway does not answer"
	}
	if c.AgentPID == 0 {
		then = "then " + again(c)
	}
	return do + "; " + then
}

// protect is what gives the primary interface the rules that keep its answers on it.
func protect(f Facts) string {
	i := slices.IndexFunc(f.Interfaces, func(c Interface) bool { return c.Name == f.Primary && c.Unit != "" })
	if i < 0 {
		return "ec2net up " + f.Primary
	}
	return "systemctl restart " + f.Interfaces[i].unit()
}

// checkSandbox: the unit confines the process; a drop-in can undo that.
func checkSandbox(_ Facts, c Interface) []Finding {
	if c.AgentPID == 0 || !c.Sandbox.Unit || (c.Sandbox.NoNewPrivileges && c.Sandbox.Filtered) {
		return nil
	}
	return []Finding{{
		ID: "sandbox", Verdict: Warn, Interface: c.Name, Summary: "the process that manages it runs without its unit's sandbox",
		Evidence: []string{fmt.Sprintf("process %d: NoNewPrivileges %v, SystemCallFilter %v", c.AgentPID, c.Sandbox.NoNewPrivileges, c.Sandbox.Filtered)},
		Remedy:   "look for a drop-in: systemctl cat " + c.unit(),
	}}
}

// checkReadable: without rights, nftables says nothing of an interface that has a table there.
func checkReadable(_ Facts, c Interface) []Finding {
	if c.Unread == "" {
		return nil
	}
	return []Finding{{ID: "readable", Verdict: Unknown, Interface: c.Name, Summary: "its state cannot be read: " + c.Unread, Remedy: "run the doctor as root"}}
}

// checkUnit: what is set up stays when the unit has failed or was stopped, and nobody follows the cloud's changes.
func checkUnit(_ Facts, c Interface) []Finding {
	summary := map[string]string{"failed": "its unit has failed: no process manages it", "inactive": "its unit is not running: no process manages it",
		masked: "its unit is masked: no process manages it, and nothing starts one"}[c.State]
	if summary == "" || c.AgentPID != 0 || (c.State == "inactive" && !c.SetUp) {
		return nil
	}
	return []Finding{{
		ID: "unit", Verdict: Warn, Interface: c.Name, Summary: summary, Evidence: []string{c.Unit + " is " + c.State},
		Remedy: c.start() + "; systemctl status " + c.unit() + " says why it ended",
	}}
}

// masked is the state of a unit that systemd starts for nobody.
const masked = "masked"

// unit is the interface's unit as a word for a shell: systemd escapes what a name has beside letters and digits.
func (c Interface) unit() string {
	switch {
	case c.Unit == "":
		return "ec2net-ifup@" + c.Name
	case strings.Contains(c.Unit, "\\"):
		return "'" + c.Unit + "'"
	}
	return c.Unit
}

// start has the interface's unit run again: one that failed too often within five minutes is started only after its
// count was reset.
func (c Interface) start() string {
	start := "systemctl start " + c.unit()
	switch c.State {
	case "failed":
		return "systemctl reset-failed " + c.unit() + " && " + start
	case masked:
		return "systemctl unmask " + c.unit() + " && " + start
	}
	return start
}
