package state

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/test/exposition"
)

// recorded are interfaces in every state that metrics tell apart.
func recorded(now time.Time) Records {
	is := func(name string, change func(*Record)) Record {
		r := Record{
			Name: name, MAC: mac(1), ReadAt: now.Add(-12 * time.Second), DHCP: "native",
			Interface: metadata.Interface{
				MAC: mac(1), ID: "eni-0123456789abcdef0", DeviceNumber: 1,
				Addrs4: metadata.Is([]netip.Addr{addr("10.0.2.37"), addr("10.0.2.40")}),
			},
			Lease: &dhcp.Lease{Addr: prefix("10.0.2.37/24"), Server: addr("10.0.2.1"), Start: now, Expires: time.Hour},
		}
		r.Enter(Ready)
		change(&r)
		return r
	}
	return Records{
		is("eth0", func(r *Record) { r.Lease, r.Interface.Primary = nil, true }),
		is("eth1", func(r *Record) {
			for i := range 30 {
				r.Interface.Addrs6.Value = append(r.Interface.Addrs6.Value, addr(fmt.Sprintf("2001:db8:ec2:2::%x", 1000+i)))
			}
		}),
		is("eth2", func(r *Record) { r.Enter(Waiting); r.ReadAt = time.Time{} }),
		is("eth3", func(r *Record) { r.Enter(LeaseOnly); r.Index, r.Interface = 4, metadata.Interface{} }),
		is("eth4", func(r *Record) { r.Repairs, r.Lease.Expires = 7, dhcp.Infinite }),
		is("eth5", func(r *Record) { r.Enter(RolledBack); r.RolledBack = &Rollback{} }),
		is("eth6", func(r *Record) { r.Enter(LeftTo); r.LeftTo = "Cilium" }),
		is("a\"b\\c\n\xff", func(*Record) {}),
	}
}

func series(t *testing.T, text string) map[string]float64 {
	t.Helper()
	out, err := exposition.Parse(text)
	if err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	return out
}

func TestMetricsText(t *testing.T) {
	got := series(t, metricsText(recorded(time.Unix(1795000000, 0))))
	for key, want := range map[string]float64{
		`ec2net_interface_info{interface="eth1",eni="eni-0123456789abcdef0",mac="02:00:00:00:00:01",table="10001",dhcp="native"}`:       1,
		`ec2net_interface_info{interface="a\"b\\c\n?",eni="eni-0123456789abcdef0",mac="02:00:00:00:00:01",table="10001",dhcp="native"}`: 1,
		`ec2net_interface_info{interface="eth0",eni="eni-0123456789abcdef0",mac="02:00:00:00:00:01",table="0",dhcp="native"}`:           1,
		`ec2net_interface_ready{interface="eth1"}`: 1, `ec2net_interface_ready{interface="eth2"}`: 0,
		`ec2net_interface_degraded{interface="eth3"}`: 1, `ec2net_interface_degraded{interface="eth1"}`: 0,
		`ec2net_interface_rolled_back{interface="eth5"}`: 1, `ec2net_interface_rolled_back{interface="eth1"}`: 0,
		`ec2net_interface_left{interface="eth6"}`: 1, `ec2net_interface_left{interface="eth1"}`: 0,
		`ec2net_interface_addresses{interface="eth1"}`: 32, `ec2net_interface_repairs_total{interface="eth1"}`: 0, `ec2net_interface_repairs_total{interface="eth4"}`: 7,
		`ec2net_metadata_last_read_timestamp_seconds{interface="eth1"}`: 1794999988,
		`ec2net_lease_expiry_timestamp_seconds{interface="eth1"}`:       1795003600,
	} {
		if v, ok := got[key]; !ok || v != want {
			t.Errorf("%s is %v, want %v", key, v, want)
		}
	}
	for _, key := range []string{
		`ec2net_lease_expiry_timestamp_seconds{interface="eth0"}`, `ec2net_lease_expiry_timestamp_seconds{interface="eth4"}`,
		`ec2net_metadata_last_read_timestamp_seconds{interface="eth2"}`,
	} {
		if v, ok := got[key]; ok {
			t.Errorf("%s is %v, and should not be there", key, v)
		}
	}
	series(t, metricsText(nil))
}

// The file is replaced at once, with a mode that everybody may read by, and through no link. What is asked for while
// another process holds the lock waits for nobody, and is written with what is recorded by then.
func TestPublisher(t *testing.T) {
	s := made(t)
	dir := t.TempDir()
	file, victim := filepath.Join(dir, "ec2net.prom"), filepath.Join(dir, "victim")
	must(t, os.WriteFile(victim, []byte("mine"), 0o600))
	must(t, os.Symlink(victim, file))
	held, err := os.OpenFile(s.path(metricsLock, ""), os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	must(t, unix.Flock(int(held.Fd()), unix.LOCK_EX))

	var p Publisher
	for _, r := range recorded(time.Now())[:3] {
		must(t, s.Save(r))
		p.Publish(s, file)
	}
	if b, _ := os.ReadFile(file); string(b) != "mine" || p.Err() != nil {
		t.Errorf("written although the lock was held: %s, %v", b, p.Err())
	}
	must(t, held.Close())
	must(t, p.Finish())
	b, err := os.ReadFile(file)
	must(t, err)
	if got := series(t, string(b)); got[`ec2net_interface_ready{interface="eth1"}`] != 1 || len(got) == 0 {
		t.Errorf("written: %s", b)
	}
	if info, err := os.Lstat(file); err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if b, _ := os.ReadFile(victim); string(b) != "mine" {
		t.Errorf("written through the link: %s", b)
	}
	must(t, os.Mkdir(filepath.Join(dir, "folder"), 0o755))
	p.Publish(s, filepath.Join(dir, "folder"))
	if first := p.Finish(); first == nil {
		t.Error("a folder in the file's place was replaced")
	} else if p.Publish(s, filepath.Join(dir, "folder")); p.Finish() == nil || p.Err().Error() != first.Error() {
		t.Errorf("not the same failure twice: %v, %v", first, p.Err())
	}
	if files, _ := filepath.Glob(filepath.Join(dir, ".*")); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
	if p.Publish(s, ""); p.Finish() != nil {
		t.Error("a file that is no longer asked for has an error")
	}
}
