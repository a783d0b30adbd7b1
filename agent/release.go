package agent

import (
	"context"
	"errors"
	"fmt"
	"os"

	"ec2net/config"
	"ec2net/plumb"
)

// release takes off what an earlier configuration put on an interface that is to be left alone now. A process that
// goes by that one keeps it all the same: it is named, since it would put all of it back.
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
		if command == "run" { // logged by confirm; a unit that fails would try it again every second
			return nil
		}
		return fmt.Errorf("%s: rolled back: without what ec2net set up, %s", a.snap.Name, a.rolledBack.why)
	}
	if err := r.Err(); err != nil {
		return err
	}
	return a.forget()
}

// logUnmanaged says that the configuration leaves the interface alone, be it only since the metadata told its ENI or its
// number.
func (n *NIC) logUnmanaged() {
	if n.iface.Manage == config.None {
		n.log.Infof("left alone, because %s says manage = false", n.config.File)
	}
}

// stillManagedText says what to do about a process that keeps an interface by an earlier configuration.
func stillManagedText(name string, pid int) string {
	return fmt.Sprintf("process %d still manages %s with an older configuration; to stop it: %s", pid, name, StopCommand(name))
}

// StopCommand is the command after which nobody keeps an interface that the configuration leaves alone.
func StopCommand(name string) string {
	if UnderSystemd() {
		return "systemctl restart " + UnitWord(name)
	}
	return "ec2net down " + name
}
