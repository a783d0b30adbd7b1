package main

import (
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ec2net/metadata"
)

// The files that are shipped hold what the clouds' traits say: udev's rule their drivers, the units' address filter their
// servers, and the man page the names that --cloud takes.

func shipped(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../" + name)
	must(t, err)
	return string(b)
}

// Where nobody can be asked, the drivers are those of udev's rule.
func TestCloudDrivers(t *testing.T) {
	t.Parallel()
	says(t, shipped(t, "udev/99-ec2net.rules"), "ENV{ID_NET_DRIVER}!=\""+strings.Join(metadata.Drivers(), "|")+"\", GOTO=\"ec2net_end\"")
}

// Every unit may talk to every cloud's metadata, and the one that manages an interface to all servers of the cloud. Of
// single addresses no unit allows others.
func TestUnitsAllowTheServers(t *testing.T) {
	t.Parallel()
	for file, of := range map[string]func(metadata.Traits) []netip.Addr{
		"systemd/ec2net-ifup@.service": func(tr metadata.Traits) []netip.Addr { return tr.Servers },
		"systemd/ec2net-scan.service":  func(tr metadata.Traits) []netip.Addr { return tr.Metadata },
		"systemd/ec2net-scan@.service": func(tr metadata.Traits) []netip.Addr { return tr.Metadata },
	} {
		allowed := addressFilter(t, file)
		known := []netip.Addr{}
		for _, c := range []metadata.Cloud{metadata.CloudEC2, metadata.CloudAzure, metadata.CloudGCE, metadata.CloudOCI, metadata.CloudAliyun, metadata.CloudTencent} {
			for _, a := range of(c.Traits()) {
				known = append(known, a)
				if !slices.ContainsFunc(allowed, func(p netip.Prefix) bool { return p.Contains(a) }) {
					t.Errorf("%s forbids %s, a server of %s", file, a, c)
				}
			}
		}
		for _, p := range allowed {
			if p.IsSingleIP() && !slices.Contains(known, p.Addr()) {
				t.Errorf("%s allows %s, which is no server of a cloud", file, p)
			}
		}
	}
}

// addressFilter are the blocks of a unit's IPAddressAllow=.
func addressFilter(t *testing.T, file string) (out []netip.Prefix) {
	t.Helper()
	m := regexp.MustCompile(`(?m)^IPAddressAllow=(.*)$`).FindStringSubmatch(shipped(t, file))
	if m == nil {
		t.Fatalf("%s allows no address", file)
	}
	for w := range strings.FieldsSeq(m[1]) {
		if !strings.Contains(w, "/") {
			a, err := netip.ParseAddr(w)
			must(t, err)
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(w)
		must(t, err)
		out = append(out, p)
	}
	return out
}

// The man page and the help list the clouds that have a reader, and a wrong name is answered with them.
func TestCloudsAreListed(t *testing.T) {
	t.Parallel()
	for _, name := range metadata.Clouds() {
		says(t, shipped(t, "packaging/man/ec2net.8"), "\n.Cm "+name)
		says(t, clouds(), name)
	}
	var p program
	if err := p.root().ParseFlags([]string{"--cloud", "nimbus"}); err != nil {
		t.Fatal(err)
	}
	p.logLevel = "info"
	if err := p.prepare(); err == nil || !strings.Contains(err.Error(), `--cloud "nimbus": choose `+clouds()) {
		t.Errorf("%v", err)
	}
}
