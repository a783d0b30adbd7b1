package agent

import (
	"context"
	"errors"
	"fmt"
	"os"

	"ec2net/config"
	"ec2net/plumb"
)

// Interfaces that the configuration leaves alone (manage = false): what an earlier configuration set up on them is
// removed, under the same connectivity check as any other change.

// release removes what an earlier configuration set up on an interface that is now to be left alone. If a process
// with that earlier configuration still manages the interface, release only names it, because it would put everything
// back. After a rollback `up` fails; `run` does not, since systemd would start it again every second.
func (a *Agent) release(ctx context.Context, command string) error {
	if a.iface.Manage != config.None {
		return nil
	}
	a.logUnmanaged()
	if pid := a.store.Holder(a.snap.Name).PID; pid > 0 && pid != os.Getpid() {
		a.log.Warn(stillManagedText(a.snap.Name, pid))
		return nil
	}
	switch {
	case len(plumb.Diff(a.snap.State, a.facts().released(a.snap))) == 0:
		return a.forget()
	case a.cloud == nil:
		return ErrorOf(ErrInvalid, "%s: the metadata cannot be asked, so nothing was removed: check its endpoint", a.snap.Name)
	}
	if err := MayChange(command); err != nil {
		return err
	}
	r := a.reconcile(ctx)
	a.announce(r.Done)
	if errors.Is(r.Failed, plumb.ErrGone) {
		return errGone
	}
	if a.confirm(ctx, r.Done); a.rolledBack != nil {
		a.saveRecord()
		if command == "run" { // confirm has logged it; if the unit failed, systemd would try it again every second
			return nil
		}
		return fmt.Errorf("%s: rolled back: without what ec2net set up, %s", a.snap.Name, a.rolledBack.why)
	}
	if err := r.Err(); err != nil {
		return err
	}
	return a.forget()
}

// releaseToOwner removes what is ours from an interface that another program has, and logs that once.
func (a *Agent) releaseToOwner(ctx context.Context) error {
	r := a.reconcile(ctx)
	a.announce(r.Done)
	a.reportOwner()
	return r.Err()
}

// reportOwner logs and records that another program has the interface.
func (a *Agent) reportOwner() {
	a.check.close()
	a.log.Infof("%s; to have ec2net manage it, set manage = true in an [[interface]] section", a.text())
	a.saveRecord()
}
