package dhcp

import (
	"net/netip"
	"testing"
	"time"
)

func TestISCdhcpd(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	conf := b.file("dhcpd.conf", `
authoritative; ping-check false; default-lease-time 12; max-lease-time 12; min-lease-time 12;
option classless code 121 = array of unsigned integer 8;
subnet 10.66.0.0 netmask 255.255.255.0 {
  range 10.66.0.50 10.66.0.60;
  option routers 10.66.0.1; option interface-mtu 1400; option dhcp-renewal-time 2; option dhcp-rebinding-time 9;
  option classless 0, 10,66,0,2, 16, 10,67, 10,66,0,1;
}`)
	b.atServer(func() {
		b.start("Server starting service", nil, "/usr/sbin/dhcpd", "-4", "-f", "-d", "-cf", conf,
			"-lf", b.file("leases", ""), "-pf", b.file("pid", ""), "b0")
	})
	l := b.run(nil, nil, false)
	first := l.state(Bound).Lease
	if first.Router != netip.MustParseAddr("10.66.0.2") || first.MTU != 1400 || first.Expires != 12*time.Second ||
		len(first.Routes) != 1 || first.Renew != 2*time.Second || first.Rebind != 9*time.Second {
		t.Errorf("lease %+v", first)
	}
	l.state(Renewing)
	l.state(Bound)
	l.end()
	prior := *first
	prior.Start = time.Now()
	again := b.run(&prior, nil, false)
	if e := again.state(Bound); !e.Lease.Same(*first) {
		t.Errorf("INIT-REBOOT gave %+v", e.Lease)
	}
}

func TestKea(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	conf := b.file("kea.json", `{"Dhcp4": {
  "interfaces-config": {"interfaces": ["b0"]}, "lease-database": {"type": "memfile", "persist": false},
  "valid-lifetime": 12, "renew-timer": 1, "rebind-timer": 9, "authoritative": true,
  "option-data": [{"name": "routers", "data": "10.66.0.1"}, {"name": "interface-mtu", "data": "1450"}],
  "subnet4": [{"id": 1, "subnet": "10.66.0.0/24", "pools": [{"pool": "10.66.0.50-10.66.0.60"}]}],
  "loggers": [{"name": "kea-dhcp4", "severity": "INFO", "output_options": [{"output": "stdout", "flush": true}]}]}}`)
	dir := b.TempDir()
	b.atServer(func() {
		b.start("DHCP4_STARTED", []string{"KEA_PIDFILE_DIR=" + dir, "KEA_LOCKFILE_DIR=none"}, "/usr/sbin/kea-dhcp4", "-c", conf)
	})
	l := b.run(nil, nil, false)
	first := l.state(Bound).Lease
	if first.Router != netip.MustParseAddr("10.66.0.1") || first.MTU != 1450 || first.Expires != 12*time.Second || first.Renew != time.Second {
		t.Errorf("lease %+v", first)
	}
	l.state(Renewing)
	l.state(Bound)
	l.end()

	// A lease of another network: NAK, and a new one.
	foreign := *first
	foreign.Addr, foreign.Start = netip.MustParsePrefix("10.99.0.7/24"), time.Now()
	again := b.run(&foreign, nil, false)
	again.failure(ErrNak)
	again.state(Bound)
}
