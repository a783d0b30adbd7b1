package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ec2net/test/lab"
)

// What others have on the host of a history: it looks like ours, and stays.
var strangers = []string{"rule add from 10.0.2.31 lookup 10001 pref 20001 protocol 99", "rule add from 10.0.2.0/24 lookup 500 pref 500",
	"route add 172.16.0.0/12 dev eth0", "route add 192.0.2.0/24 dev eth0 table 10001 proto 99"}

// TestHistories: the whole program, a process for each interface, in a cloud where one thing happens after
// another. After each, the kernel comes to hold what the lab's cloud grants, by the README's table; the
// operator's session lives on. EC2NET_HISTORIES says how many, EC2NET_SEED repeats the first.
func TestHistories(t *testing.T) {
	t.Parallel()
	count := 24
	if s := os.Getenv("EC2NET_HISTORIES"); s != "" {
		var err error
		count, err = strconv.Atoi(s)
		must(t, err)
	}
	rnd := seed(t)
	for i := range count {
		n := rnd.Uint64()
		if i == 0 && os.Getenv("EC2NET_SEED") != "" {
			n, _ = strconv.ParseUint(os.Getenv("EC2NET_SEED"), 10, 64) // seed has read it
		}
		t.Run(strconv.FormatUint(n, 10), func(t *testing.T) {
			t.Parallel()
			program := "ec2net" // every second one is looked at for races
			if i%2 == 1 {
				program = quick()
			}
			h := newHistory(t, n, program)
			for range 9 {
				h.step()
			}
			h.end()
		})
	}
}

// history is a cloud, what happened to it, and the processes by the MAC of their interfaces.
type history struct {
	*testing.T
	c       *lab.Cloud
	rnd     *rand.Rand
	conf    string
	program string // what is started for each interface
	story   []string
	keepers map[string]*kept
	names   map[string]string // of the interfaces, by MAC
	renamed map[string]bool   // so that the process may have looked for a name that is no more
	next    int
}

func newHistory(t *testing.T, n uint64, program string) *history {
	h := &history{T: t, program: program, c: hostile(t, lab.Config{Interfaces: []lab.Interface{lab.Eth0()}}), rnd: rand.New(rand.NewPCG(n, n)),
		conf: write(t, soon+"refresh = \"1s\"\n"), keepers: map[string]*kept{}, names: map[string]string{}, renamed: map[string]bool{}, next: 1}
	spoilDHCP(t, h.c, lab.DHCPFault{Lease: 10 * time.Second})
	for _, s := range strangers {
		ip(t, h.c, s)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what happened:\n%s", strings.Join(h.story, "\n"))
		}
	})
	h.adopt(h.c.Interfaces()[0])
	h.attach()
	h.settle()
	return h
}

// adopt starts the process of an interface.
func (h *history) adopt(iface lab.Interface) {
	mac := iface.MAC.String()
	name := cmp.Or(h.names[mac], iface.Name)
	h.names[mac] = name
	h.keepers[mac] = startAs(h.T, h.c, h.program, name, []string{"--config", h.conf})
}

// second is any interface but the first, if there is one.
func (h *history) second() (lab.Interface, bool) {
	list := h.c.Interfaces()[1:]
	if len(list) == 0 {
		return lab.Interface{}, false
	}
	return list[h.rnd.IntN(len(list))], true
}

func (h *history) tell(format string, args ...any) {
	h.story = append(h.story, time.Now().Format("05.000 ")+fmt.Sprintf(format, args...))
}

// step is one thing that happens, or two at once.
func (h *history) step() {
	h.Helper()
	for range 1 + h.rnd.IntN(2) {
		iface, ok := h.second()
		if !ok {
			h.attach()
			continue
		}
		things := []func(lab.Interface){h.move, h.move, h.block, h.spoilKeys, h.spoilLease, h.damage, h.damage, h.kill, h.kill, h.suspend, h.rename, h.detach, h.operate,
			func(lab.Interface) { h.attach() }}
		things[h.rnd.IntN(len(things))](iface)
	}
	h.settle()
}

func (h *history) attach() {
	if len(h.c.Interfaces()) > 3 {
		return
	}
	i := h.next
	h.next++
	h.tell("attach eth%d", i)
	subnet := []string{"subnet-c", "subnet-a"}[h.rnd.IntN(2)]
	a, err := h.c.FreeAddr(subnet)
	must(h.T, err)
	must(h.T, h.c.Attach(lab.Interface{Name: fmt.Sprintf("eth%d", i), DeviceNumber: i, Subnet: subnet, Addrs4: []netip.Addr{a}}))
	list := h.c.Interfaces()
	h.adopt(list[len(list)-1])
}

// detach unplugs an interface. Its process ends by itself, unless it was killed; then comes what the unit does
// last.
func (h *history) detach(iface lab.Interface) {
	mac := iface.MAC.String()
	k, name := h.keepers[mac], h.names[mac]
	killed := h.rnd.IntN(2) == 0
	h.tell("detach %s, killed before: %v", name, killed)
	if killed {
		_ = k.Process.Kill()
		<-k.ended
	}
	must(h.T, h.c.Detach(mac))
	if !killed {
		k.end(h.T)
	}
	ec2net(h.T, h.c, exitOK, "down", "--if-gone", name)
	delete(h.keepers, mac)
}

// move assigns an address or takes one back.
func (h *history) move(iface lab.Interface) {
	mac := iface.MAC.String()
	if n := len(iface.Addrs4); n > 1 && h.rnd.IntN(2) == 0 {
		a := iface.Addrs4[1+h.rnd.IntN(n-1)]
		h.tell("release %s of %s", a, h.names[mac])
		must(h.T, h.c.Release(mac, a))
		return
	}
	a, err := h.c.FreeAddr(iface.Subnet)
	must(h.T, err)
	h.tell("assign %s to %s", a, h.names[mac])
	must(h.T, h.c.Assign(mac, a))
}

func (h *history) block(iface lab.Interface) {
	mac := iface.MAC.String()
	if len(iface.Prefixes4) > 0 {
		h.tell("release %s of %s", iface.Prefixes4[0], h.names[mac])
		must(h.T, h.c.ReleasePrefix(mac, iface.Prefixes4[0]))
		return
	}
	b := iface.Addrs4[0].As4()
	b[3] = byte(160 + 16*(iface.DeviceNumber%5))
	p := netip.PrefixFrom(netip.AddrFrom4(b), 28)
	h.tell("assign %s to %s", p, h.names[mac])
	must(h.T, h.c.AssignPrefix(mac, p))
}

func (h *history) spoilKeys(iface lab.Interface) {
	f := anyFault(h.rnd)
	f.Interface, f.For = iface.MAC.String(), time.Duration(200+h.rnd.IntN(1500))*time.Millisecond
	f.Path = []string{"**", "local-ipv4s", "device-number", "subnet-ipv4-cidr-block", ""}[h.rnd.IntN(5)]
	h.tell("for %s the metadata of %s: %+v", f.For, h.names[f.Interface], f)
	spoil(h.T, h.c, f)
}

func (h *history) spoilLease(iface lab.Interface) {
	faults := []lab.DHCPFault{{Silent: true}, {NAK: true}, {Delay: time.Second}, {Mangle: lab.Garbage}, {Router: addr("192.0.2.1")}}
	f := faults[h.rnd.IntN(len(faults))]
	f.Interface, f.For = iface.MAC.String(), time.Duration(500+h.rnd.IntN(3000))*time.Millisecond
	h.tell("for %s the DHCP of %s: %+v", f.For, h.names[f.Interface], f)
	spoilDHCP(h.T, h.c, f)
}

// damage is another program's, also of what is ours.
func (h *history) damage(iface lab.Interface) {
	dev, t := h.names[iface.MAC.String()], 10000+iface.DeviceNumber
	list := []string{
		fmt.Sprintf("ip rule del pref %d protocol 236", t), fmt.Sprintf("ip rule del pref %d protocol 236", t+10000), fmt.Sprintf("ip route flush table %d proto 236", t),
		"ip addr flush dev " + dev, "ip link set " + dev + " down", "ip link set " + dev + " down; ip link set " + dev + " up", "ip link set " + dev + " group default",
		"ip link set eth0 group default", "rm -f /run/ec2net/*.json", "truncate -s 40 /run/ec2net/*.json", "echo '{\"name\":\"" + dev + "\",\"numbers\":[-1]}' > /run/ec2net/" + dev + ".json",
		fmt.Sprintf("ip rule add from 10.77.0.0/16 lookup %d pref %d protocol 236", t, t+10000),
		fmt.Sprintf("ip route add 10.78.0.0/16 dev %s table %d proto 236", dev, t),
	}
	cmd := list[h.rnd.IntN(len(list))]
	h.tell("%s", cmd)
	_, _ = runOn(h.c.Instance(), cmd) // refused, where there is nothing to damage
}

// kill ends a process, in the middle of whatever it does, and starts the next.
func (h *history) kill(iface lab.Interface) {
	if h.rnd.IntN(4) == 0 {
		iface = h.c.Interfaces()[0]
	}
	mac := iface.MAC.String()
	k := h.keepers[mac]
	if h.rnd.IntN(2) == 0 {
		_ = k.Process.Signal(syscallHUP)
	}
	time.Sleep(time.Duration(h.rnd.IntN(120)) * time.Millisecond) // where in its work it is hit is the point
	h.tell("kill %s", h.names[mac])
	_ = k.Process.Kill() // a hangup may have ended one that had only just begun
	<-k.ended
	h.adopt(iface)
}

// suspend has time pass for a process without it: its clocks jump.
func (h *history) suspend(iface lab.Interface) {
	k, long := h.keepers[iface.MAC.String()], time.Duration(200+h.rnd.IntN(1500))*time.Millisecond
	h.tell("suspend %s for %s", h.names[iface.MAC.String()], long)
	must(h.T, k.Process.Signal(syscall.SIGSTOP))
	time.Sleep(long)
	must(h.T, k.Process.Signal(syscall.SIGCONT))
}

// operate is an operator's command in the middle of it. The interface is kept, so that it never fails, but what
// it waits for may be late.
func (h *history) operate(iface lab.Interface) {
	name := h.names[iface.MAC.String()]
	args := [][]string{{"up", name, "--wait", "2s"}, {"status"}, {"status", "--json", name}, {"plan", name}}[h.rnd.IntN(4)]
	h.tell("ec2net %q", args)
	out, status := on(h.T, h.c, "ec2net", append([]string{"--cloud", "ec2", "--config", h.conf}, args...)...)
	if !slices.Contains([]int{exitOK, exitUnavailable, exitPartial, exitDifferences}, status) {
		h.Errorf("ec2net %q: exit status %d: %s", args, status, out)
	}
}

func (h *history) rename(iface lab.Interface) {
	mac := iface.MAC.String()
	old := h.names[mac]
	h.names[mac] = fmt.Sprintf("ens%d%c", iface.DeviceNumber, 'a'+h.rnd.IntN(26))
	if h.names[mac] == old {
		return
	}
	h.tell("rename %s to %s", old, h.names[mac])
	h.renamed[mac] = true
	ip(h.T, h.c, "link set "+old+" down")
	ip(h.T, h.c, "link set "+old+" name "+h.names[mac])
}

// end unplugs all interfaces: nothing of ours is left, and everything of the strangers'.
func (h *history) end() {
	for _, iface := range h.c.Interfaces()[1:] {
		h.detach(iface)
	}
	h.settle()
	out := ip(h.T, h.c, "-o link show eth0")
	eventually(h.T, hang, "eth0's group", func() bool {
		out = ip(h.T, h.c, "-o link show eth0")
		return !strings.Contains(out, "group 236")
	})
	h.Logf("%d things happened", len(h.story))
}
