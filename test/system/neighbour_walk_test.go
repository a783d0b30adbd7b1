//go:build system

package system

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// walk is a machine with several neighbours, of which one thing after another happens.
type walk struct {
	*bed
	rnd     *rand.Rand
	all     []neighbour
	running []bool
	granted map[netip.Addr]string // that were granted on the way, and their interface
	public  byte                  // the last byte of the next elastic IP
}

// TestWalk starts, stops, reloads and restarts neighbours while the cloud grants and withdraws addresses, interfaces
// are plugged and unplugged, and ec2net is restarted and killed. Sometimes something is made wrong. After each step
// every address that the cloud grants is answered by its interface, but for those that what is wrong silences, the
// neighbours do their work, and doctor names what was made wrong, and nothing else. EC2NET_WALK says for how long, on
// every release; EC2NET_SEED repeats one.
func TestWalk(t *testing.T) {
	t.Parallel()
	long, seed, on := 30*time.Second, uint64(time.Now().UnixNano()), suites[:1]
	var err error
	if s := os.Getenv("EC2NET_WALK"); s != "" {
		on = suites
		if long, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	if s := os.Getenv("EC2NET_SEED"); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	for _, suite := range on {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			t.Logf("EC2NET_SEED=%d", seed)
			w := newWalk(t, suite, seed)
			for end := time.Now().Add(long); time.Now().Before(end); {
				w.step()
			}
			w.end()
		})
	}
}

func newWalk(t *testing.T, suite string, seed uint64) *walk {
	w := &walk{rnd: rand.New(rand.NewPCG(seed, seed)), granted: map[netip.Addr]string{}, public: 200}
	tunnel := []neighbour{openvpn(), wireGuardOff()}[w.rnd.IntN(2)] // there is one tunnel for everything
	w.all = append(rules(), keepalived(), docker(), tunnel)
	w.running = make([]bool, len(w.all))
	everyone := neighbour{files: renamed(second(), extra(2)), config: "replies = \"by-interface\"\nrefresh = \"1s\"\n"}
	for _, n := range w.all {
		everyone.files = with(everyone.files, n.files)
	}
	w.bed = newBed(t, suite, everyone)
	for _, n := range w.all {
		if n.world != nil {
			n.world(w.bed)
		}
	}
	w.act("ec2net comes", func() { w.install() })
	return w
}

// step is one thing that happens, or two at once; or something is made wrong.
func (w *walk) step() {
	w.t.Helper()
	if w.rnd.IntN(4) == 0 {
		w.wrong()
		return
	}
	w.measure()
	told := w.happens()
	if w.rnd.IntN(2) == 0 {
		told += "; " + w.happens()
	}
	w.suffer(told, nil)
}

// happens is one thing that happens.
func (w *walk) happens() string {
	w.t.Helper()
	things := []func() string{w.program, w.program, w.program, w.grant, w.grant, w.withdraw, w.plugOrUnplug, w.ourselves, w.kill, w.meddle}
	return things[w.rnd.IntN(len(things))]()
}

// works waits until every neighbour that runs does its work.
func (w *walk) works() {
	w.t.Helper()
	for i, n := range w.all {
		if w.running[i] {
			w.bed.works(n)
		}
	}
}

// program starts a neighbour, or stops, reloads or restarts it.
func (w *walk) program() string {
	i := w.rnd.IntN(len(w.all))
	n, do := w.all[i], ""
	switch {
	case !w.running[i]:
		do, w.running[i] = n.start, true
	case w.rnd.IntN(2) == 0 && len(n.acts) > 0:
		do = n.acts[w.rnd.IntN(len(n.acts))]
	default:
		do, w.running[i] = n.stop, false
	}
	w.sh(do)
	return strings.Join(strings.Fields(do), " ")
}

// grant gives an interface one more address, with an elastic IP.
func (w *walk) grant() string {
	ifaces := w.cloud.Interfaces()
	c := ifaces[w.rnd.IntN(len(ifaces))]
	a, err := w.cloud.FreeAddr(c.Subnet)
	if err == nil {
		err = w.cloud.Assign(c.Name, a)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.reachable(c.Name, a)
	return fmt.Sprintf("%s is granted to %s", a, c.Name)
}

// reachable gives an address an elastic IP, and has it asked.
func (w *walk) reachable(iface string, a netip.Addr) {
	w.public = 200 + (w.public-199)%50
	eip := netip.AddrFrom4([4]byte{203, 0, 113, w.public})
	if err := w.cloud.AssociateEIP(a, eip); err != nil {
		w.t.Fatal(err)
	}
	w.granted[a] = iface
	w.ask(a.String(), w.cloud.Client(), eip)
}

// withdraw takes back an address that was granted on the way.
func (w *walk) withdraw() string {
	for _, a := range slices.SortedFunc(maps.Keys(w.granted), netip.Addr.Compare) { // in an order that a seed repeats
		iface := w.granted[a]
		c, err := w.cloud.Interface(iface)
		if err != nil {
			w.t.Fatal(err)
		}
		if c.Addrs4[0] == a {
			continue
		}
		w.forget(a)
		if err := w.cloud.Release(iface, a); err != nil {
			w.t.Fatal(err)
		}
		return fmt.Sprintf("%s is withdrawn from %s", a, iface)
	}
	return "nothing is to be withdrawn"
}

// forget ends the questions for an address.
func (w *walk) forget(a netip.Addr) {
	delete(w.granted, a)
	w.asked = slices.DeleteFunc(w.asked, func(o asked) bool { return o.name == a.String() && o.Close() == nil })
}

// plugOrUnplug attaches a third interface, or detaches it.
func (w *walk) plugOrUnplug() string {
	const iface = "eth2"
	if _, err := w.cloud.Interface(iface); err == nil {
		for a, of := range w.granted {
			if of == iface {
				w.forget(a)
			}
		}
		w.unplug(iface, "ens7")
		return "unplug ens7"
	}
	c := extra(2)
	c.EIPs = nil
	if err := w.cloud.Attach(c); err != nil {
		w.t.Fatal(err)
	}
	w.reachable(iface, c.Addrs4[0])
	w.active("ens7")
	return "plug ens7"
}

// ourselves restarts a unit of ours, in order or not.
func (w *walk) ourselves() string {
	unit := []string{"ec2net-ifup@eth0", "ec2net-ifup@ens6"}[w.rnd.IntN(2)]
	command := [][]string{{"systemctl", "restart", unit}, {"systemctl", "reload", unit}}[w.rnd.IntN(2)]
	w.run(command[0], command[1:]...)
	return strings.Join(command, " ")
}

// end stops everything: nothing is left of ours.
func (w *walk) end() {
	w.t.Helper()
	for i, n := range w.all {
		if w.running[i] {
			w.sh(n.stop)
		}
	}
	w.run("dpkg", "--purge", "ec2net")
	if left := w.ours() + w.run("sh", "-c", "nft list tables | grep ec2net; true"); left != "" {
		w.t.Errorf("the purge left:\n%s", left)
	}
}
