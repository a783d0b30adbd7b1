package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ec2net/test/exposition"
	"ec2net/test/lab"
)

// metricsFolder makes a folder with a configuration that has the metrics written to a file in it.
func metricsFolder(t *testing.T) (dir, file, conf string) {
	t.Helper()
	dir = t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	file, conf = filepath.Join(dir, "ec2net.prom"), filepath.Join(dir, "ec2net.toml")
	must(t, os.WriteFile(conf, []byte(fmt.Sprintf("metrics_file = %q\n", file)), 0o600))
	return dir, file, conf
}

// The file holds every interface, whoever keeps it, and is right soon after the interface is.
func TestMetricsFile(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	dir, file, conf := metricsFolder(t)
	value := func(series string) float64 {
		b, err := os.ReadFile(file)
		must(t, err)
		all, err := exposition.Parse(string(b))
		must(t, err)
		v, ok := all[series]
		if !ok {
			return -1
		}
		return v
	}
	var primary *kept
	for _, iface := range []string{"eth1", "eth0"} {
		primary = startWith(t, c, iface, []string{"--config", conf})
		primary.notify.await(t, "READY=1")
	}
	eventually(t, hang, "a file is written", func() bool { _, err := os.Stat(file); return err == nil })
	info, err := os.Stat(file)
	must(t, err)
	if info.Mode().Perm() != 0o644 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
	for _, iface := range []string{"eth0", "eth1"} {
		eventually(t, hang, iface+" is ready in it", func() bool { return value(`ec2net_interface_ready{interface="`+iface+`"}`) == 1 })
	}
	ip(t, c, "rule del pref 20001")
	eventually(t, hang, "a repair is counted", func() bool { return value(`ec2net_interface_repairs_total{interface="eth1"}`) >= 1 })
	ec2net(t, c, exitOK, "--config", conf, "down", "eth1")
	if v := value(`ec2net_interface_ready{interface="eth1"}`); v != -1 {
		t.Errorf("after down: %v", v)
	}
	eventually(t, hang, "nothing is left behind", func() bool { // the other interface's process may be writing
		files, _ := filepath.Glob(filepath.Join(dir, ".*"))
		return len(files) == 0
	})

	// A link in its place is replaced, not followed; a folder that is not there is said once, and is no reason to
	// leave the interface dead. The other interface's process may write at any moment, so it ends first, and the link
	// comes in one step.
	primary.stop(t)
	victim, link := filepath.Join(dir, "victim"), filepath.Join(dir, "link")
	must(t, os.WriteFile(victim, []byte("mine"), 0o600))
	must(t, os.Symlink(victim, link))
	must(t, os.Rename(link, file))
	ec2net(t, c, exitOK, "--config", conf, "up", "eth1")
	if b, _ := os.ReadFile(victim); string(b) != "mine" || value(`ec2net_interface_ready{interface="eth1"}`) != 1 {
		t.Errorf("written through the link: %s", b)
	}
	must(t, os.WriteFile(conf, []byte("metrics_file = \"/nowhere/ec2net.prom\"\n"), 0o600))
	out := ec2net(t, c, exitOK, "--config", conf, "up", "eth1")
	if strings.Count(out, "metrics: write /nowhere/ec2net.prom: ") != 1 {
		t.Errorf("an unwritable file:\n%s", out)
	}
	must(t, os.Mkdir(filepath.Join(dir, "folder.prom"), 0o755))
	must(t, os.WriteFile(conf, []byte(fmt.Sprintf("metrics_file = %q\n", filepath.Join(dir, "folder.prom"))), 0o600))
	ec2net(t, c, exitOK, "down", "eth1")
	if out := ec2net(t, c, exitOK, "--config", conf, "up", "eth1"); strings.Count(out, "metrics: write "+dir+"/folder.prom: ") != 1 {
		t.Errorf("a folder in the file's place:\n%s", out)
	}
	answers(t, c, lab.EIP2)
}

// In the unit's sandbox root is bound by the modes of files: a folder of another user's, as some packages of
// node_exporter have it, needs to be root's.
func TestMetricsFolderOfSomebodyElse(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	dir := t.TempDir()
	metrics, conf := filepath.Join(dir, "metrics"), filepath.Join(dir, "ec2net.toml")
	must(t, os.Mkdir(metrics, 0o555))
	must(t, os.WriteFile(conf, []byte(fmt.Sprintf("metrics_file = %q\n", filepath.Join(metrics, "ec2net.prom"))), 0o600))
	out, status := on(t, c, "setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", "ec2net", "--cloud", "ec2", "--config", conf, "up", "eth1")
	if status != exitOK || strings.Count(out, "permission denied") != 1 {
		t.Errorf("status %d: %s", status, out)
	}
	says(t, out, metrics+" has to belong to root")
	answers(t, c, lab.EIP2)
}
