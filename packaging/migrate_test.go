//go:build packages

package packaging_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ec2net/config"
	"ec2net/metadata"
)

const scripts = "/etc/sysconfig/network-scripts/"

// An interface is left alone after migration exactly when ec2-net-utils 1 left it alone.
func TestMigration(t *testing.T) {
	files := map[string]string{
		"ifcfg-eth0":                 "DEVICE=eth0\nBOOTPROTO=dhcp\n",
		"ifcfg-eth1":                 "DEVICE=eth1\nEC2SYNC=no\nONBOOT=yes\n",
		"ifcfg-eth2":                 "EC2SYNC=yes\n",
		"ifcfg-eth3":                 "  EC2SYNC=\"no\"   # by hand\n",
		"ifcfg-eth4":                 "#EC2SYNC=no\n",
		"ifcfg-eth5":                 "EC2SYNC=nothing\n",
		"ifcfg-eth6":                 "EC2SYNC='no'",
		"ifcfg-eth7":                 "NOT_EC2SYNC=no\n",
		"ifcfg-eth8":                 "",
		"ifcfg-eth1:1":               "EC2SYNC=no\n", // an alias
		"ifcfg-eth9.bak":             "EC2SYNC=no\n",
		"ifcfg-eth10~":               "EC2SYNC=no\n",
		"ifcfg-":                     "EC2SYNC=no\n",
		"ifcfg-a\"\n[[interface]] #": "EC2SYNC=no\n",
		"ifcfg-abcdefghijklmnop":     "EC2SYNC=no\n", // longer than an interface's name can be
		"route-eth11":                "EC2SYNC=no\n",
		"ifcfg-eth12/not-a-file.txt": "EC2SYNC=no\n",
	}
	for _, install := range []func(system){
		func(s system) { s.install(deb(s.T)) },
		func(s system) { s.rpm("--upgrade", rpm(s.T)) },
	} {
		s := clean(t)
		for name, text := range files {
			s.write(scripts+name, text, 0o644)
		}
		install(s)
		if got, want := left(t, s), []string{"eth1", "eth3", "eth6"}; !slices.Equal(got, want) {
			t.Errorf("left alone are %q, want %q, by\n%s", got, want, read(t, s.dir+config.Path))
		}
		if info, err := os.Stat(s.dir + config.Path); err != nil || info.Mode() != 0o644 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		if list := names(t, s.dir+"/etc/ec2net"); !slices.Equal(list, []string{"ec2net.toml"}) {
			t.Errorf("in /etc/ec2net are %q", list)
		}
	}
}

// left are the interfaces that the configuration excludes.
func left(t *testing.T, s system) (out []string) {
	t.Helper()
	conf, err := config.Load(s.dir + config.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"eth0", "eth1", "eth2", "eth3", "eth4", "eth5", "eth6", "eth7", "eth8", "eth9", "eth10", "eth11", "eth12", "a", "abcdefghijklmno"} {
		if conf.For(config.Local(name, metadata.MAC{2, 0, 0, 0, 0, 1}, "ena")).Manage == config.None {
			out = append(out, name)
		}
	}
	return out
}

// With nothing to carry over there is no configuration, and one that exists is never touched.
func TestMigrationLeavesConfigurationAlone(t *testing.T) {
	s := clean(t)
	s.write(scripts+"ifcfg-eth1", "EC2SYNC=yes\n", 0o644)
	s.install(deb(t))
	if s.exists(config.Path) {
		t.Errorf("a configuration was written: %s", read(t, s.dir+config.Path))
	}

	s = clean(t)
	s.write(scripts+"ifcfg-eth1", "EC2SYNC=no\n", 0o644)
	s.write(config.Path, "refresh = \"1m\"\n", 0o600)
	s.install(deb(t))
	if got := read(t, s.dir+config.Path); got != "refresh = \"1m\"\n" {
		t.Errorf("the configuration was changed: %s", got)
	}

	s = clean(t)
	s.write(scripts+"ifcfg-eth1", "EC2SYNC=no\n", 0o644)
	if err := os.MkdirAll(s.dir+filepath.Dir(config.Path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/mnt/nowhere.toml", s.dir+config.Path); err != nil {
		t.Fatal(err)
	}
	s.install(deb(t))
	if to, err := os.Readlink(s.dir + config.Path); err != nil || to != "/mnt/nowhere.toml" {
		t.Errorf("the link became %q, %v", to, err)
	}
}

// Only the first installation migrates: who takes the configuration away later, wants it so.
func TestUpgradeDoesNotMigrate(t *testing.T) {
	s := clean(t)
	s.install(deb(t))
	s.write(scripts+"ifcfg-eth1", "EC2SYNC=no\n", 0o644)
	s.install(file(t, upgrades, newerDeb+debArch+".deb"))
	if s.exists(config.Path) {
		t.Error("the deb's upgrade migrated")
	}
	s = clean(t)
	s.rpm("--upgrade", rpm(t))
	s.write(scripts+"ifcfg-eth1", "EC2SYNC=no\n", 0o644)
	s.rpm("--upgrade", file(t, upgrades, newerRPM+rpmArch+".rpm"))
	if s.exists(config.Path) {
		t.Error("the rpm's upgrade migrated")
	}
}
