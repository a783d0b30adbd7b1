//go:build system

package system

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"ec2net/doctor"
	"ec2net/test/lab/labtest"
)

// findings are the doctor's of at least a warning, with what follows from them.
func (m *machine) findings() (out []doctor.Finding) {
	m.t.Helper()
	text, _ := m.command("ec2net", "--cloud", "ec2", "doctor", "--json").Output()
	var r doctor.Report
	if err := json.Unmarshal(text, &r); err != nil {
		m.t.Fatalf("doctor: %v\n%s", err, text)
	}
	for _, f := range r.Findings {
		if f.Verdict >= doctor.Warn {
			out = append(append(out, f), f.Consequences...)
		}
	}
	return out
}

// A unit that is stopped, has failed, is held back by the start limit, or is masked, is told as that, and what doctor
// says to do, typed into a shell, has it run again.
func TestDoctorOfUnits(t *testing.T) {
	onEach(t, func(t *testing.T, suite string) {
		m := start(t, options{suite: suite, files: renamed(second())})
		m.plug(second())
		m.active("ens6")
		m.active("eth0")
		well := func() bool { return len(m.findings()) == 0 }
		m.until(hang, func() string { return "all is well, but " + m.try("ec2net", "--cloud", "ec2", "doctor") }, well)
		unit := "ec2net-ifup@ens6.service"
		limited := "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do systemctl restart " + unit + "; done"
		for _, tt := range []struct{ name, harm, state, says string }{
			{"stopped", "systemctl stop " + unit, "inactive", "its unit is not running"},
			{"failed", "mkdir -p /etc/ec2net && echo 'dchp = 1' >/etc/ec2net/ec2net.toml; systemctl restart " + unit + "; rm /etc/ec2net/ec2net.toml", "failed", "its unit has failed"},
			{"the start limit", limited, "failed", "its unit has failed"},
			{"masked", "systemctl mask " + unit + " && systemctl stop " + unit, "inactive", "its unit is masked"},
		} {
			t.Run(tt.name, func(t *testing.T) { m.unitCured("ens6", unit, tt.harm, tt.state, tt.says) })
		}
		// An interface whose name systemd escapes has a unit of another name.
		m.run("ip", "link", "set", "dev", "ens6", "name", "data-1")
		unit = `ec2net-ifup@data\x2d1.service`
		m.active(`data\x2d1`)
		m.unitCured("data-1", unit, "systemctl stop '"+unit+"'", "inactive", "its unit is not running")
	})
}

// unitCured does harm to an interface's unit, and what doctor says of that.
func (m *machine) unitCured(name, unit, harm, state, says string) {
	m.t.Helper()
	m.try("sh", "-c", harm)
	m.until(hang, said(unit+" is "+state), func() bool { return m.unit(unit, "ActiveState") == state })
	found := m.findings()
	i := slices.IndexFunc(found, func(f doctor.Finding) bool { return f.ID == "unit" && f.Interface == name })
	if i < 0 || !strings.Contains(found[i].Summary, says) {
		m.t.Fatalf("doctor does not say %q:\n%s", says, m.try("ec2net", "--cloud", "ec2", "doctor"))
	}
	m.answers(labtest.EIP(second()), time.Minute)
	command, _, _ := strings.Cut(found[i].Remedy, "; systemctl status")
	m.run("sh", "-c", command)
	m.until(hang, said(unit+" is active"), func() bool { return m.unit(unit, "ActiveState") == "active" })
	m.until(hang, func() string { return "all is well, but " + m.try("ec2net", "--cloud", "ec2", "doctor") },
		func() bool { return len(m.findings()) == 0 })
}
