//go:build system

package system

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ec2net/test/lab"
	"ec2net/test/lab/labtest"
)

// command prepares a program in the machine.
func (m *machine) command(name string, args ...string) *exec.Cmd {
	enter := []string{"-t", strconv.Itoa(m.leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--", name}
	cmd := exec.Command("nsenter", append(enter, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb", "HOME=/root"}
	return cmd
}

// try runs a program in the machine and returns what it printed, whatever its exit status.
func (m *machine) try(name string, args ...string) string {
	out, _ := m.command(name, args...).CombinedOutput()
	return string(out)
}

// run is try for what must succeed.
func (m *machine) run(name string, args ...string) string {
	m.t.Helper()
	out, err := m.command(name, args...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// hang is how long a test waits for what it would otherwise wait for in vain. It ends a test that hangs, and measures
// nothing: how fast the machine is, and what else it does, is no matter of a test.
const hang = 2 * time.Minute

// until looks again and again until cond holds, and fails the test when it does not in time. It pauses for as long as a look
// takes, so that it leaves the processor to what it waits for.
func (m *machine) until(limit time.Duration, what func() string, cond func() bool) time.Duration {
	m.t.Helper()
	began := time.Now()
	for looked := began; !cond(); looked = time.Now() {
		if time.Since(began) > limit {
			m.t.Fatalf("after %s still not: %s", limit, what())
		}
		time.Sleep(max(10*time.Millisecond, time.Since(looked)))
	}
	return time.Since(began)
}

// steady is what read returns twice in a row: a picture that is taken while something changes is of no moment.
func (m *machine) steady(what string, read func() string) (picture string) {
	m.t.Helper()
	picture = read()
	m.until(hang, said(what+" does not change"), func() bool {
		last := picture
		picture = read()
		return picture == last
	})
	return picture
}

// said is a description that does not change.
func said(what string) func() string { return func() string { return what } }

// figure is something that was measured, and not judged: for people, and for the table in docs/releases.md.
func (m *machine) figure(name string, value time.Duration) {
	m.t.Helper()
	m.t.Logf("%s: %s", name, value)
	m.t.Attr(name, value.Round(time.Millisecond).String())
}

// plug attaches an interface and returns the time until its elastic IP answered the client on the internet.
func (m *machine) plug(c lab.Interface) time.Duration {
	m.t.Helper()
	began := time.Now()
	if err := m.cloud.Attach(c); err != nil {
		m.t.Fatal(err)
	}
	for _, eip := range c.EIPs {
		m.answers(eip, hang)
	}
	return time.Since(began)
}

// unplug detaches an interface and waits until nothing of it is left: no unit, no rule, no file.
func (m *machine) unplug(iface, name string) time.Duration {
	m.t.Helper()
	began := time.Now()
	if err := m.cloud.Detach(iface); err != nil {
		m.t.Fatal(err)
	}
	m.gone(name)
	return time.Since(began)
}

func (m *machine) gone(name string) {
	m.t.Helper()
	m.until(hang, func() string { return "nothing is left of " + name + ", but " + m.leftovers(name) },
		func() bool { return m.leftovers(name) == "" })
}

// leftovers is what there still is of an interface that was unplugged. What is cheap to see is looked at first.
func (m *machine) leftovers(name string) string {
	if rest := m.remains(name); rest != "" {
		return rest
	}
	return m.try("sh", "-c", `
		systemctl list-units --all --plain --no-legend "ec2net-ifup@$1.service" | grep -v inactive
		pgrep -a -f "ec2net.* run $1"; true`, "sh", name)
}

// remains are the files, rules and routes among them.
func (m *machine) remains(name string) string {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/root/run/ec2net/*%s*", m.leader, name))
	if len(files) > 0 {
		return strings.Join(files, " ")
	}
	return m.try("sh", "-c", `
		ip rule show | grep -E '^[12]0[0-9]{3}:' | grep -vE "$2"; ip route show table all | grep -F "dev $1 "; true`, "sh", name, m.others())
}

// others matches the rules of the interfaces that are still there.
func (m *machine) others() string {
	pattern := "^$"
	for _, c := range m.cloud.Interfaces() {
		pattern += fmt.Sprintf("|^[12]0%03d:", c.DeviceNumber+100*c.NetworkCard)
	}
	return pattern
}

// answers waits until an address answers the client on the internet.
func (m *machine) answers(a netip.Addr, limit time.Duration) time.Duration {
	m.t.Helper()
	return labtest.Answers(m.t, m.cloud.Client(), a, 10*time.Millisecond, limit)
}

// unit is a property of a unit.
func (m *machine) unit(name, property string) string {
	return strings.TrimSpace(m.try("systemctl", "show", "--value", "--property="+property, name))
}

// healthy wants a machine on which nothing has failed.
func (m *machine) healthy() {
	m.t.Helper()
	m.until(hang, said("is-system-running says running"), func() bool {
		return strings.TrimSpace(m.try("systemctl", "is-system-running")) == "running"
	})
}
