package plumb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ec2net/test/testkit"
)

// number is a positive number from the environment.
func number(t *testing.T, key string, otherwise uint64) uint64 {
	t.Helper()
	s := os.Getenv(key)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return n
}

// TestSequences: whatever happens to a host and its interfaces, one thing after another, the kernel then
// holds what the oracle says, and everything of others is as they left it. EC2NET_SEED starts elsewhere,
// EC2NET_SEQUENCES makes it longer: `make soak` does both, so that `make test` is the same for everybody.
func TestSequences(t *testing.T) {
	count, seed := number(t, "EC2NET_SEQUENCES", 1000), number(t, "EC2NET_SEED", 20261121)
	t.Logf("EC2NET_SEED=%d EC2NET_SEQUENCES=%d", seed, count)
	workers := uint64(runtime.NumCPU())
	before, threads := testkit.Descriptors(t), runtime.NumGoroutine()
	t.Run("all", func(t *testing.T) {
		for w := range workers {
			t.Run(strconv.FormatUint(w, 10), func(t *testing.T) {
				t.Parallel()
				wander(t, seed, w, workers, count)
			})
		}
	})
	if after := testkit.Descriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if after := runtime.NumGoroutine(); after > threads+2 {
		t.Errorf("%d goroutines before, %d after", threads, after)
	}
}

// wander runs every step-th sequence from first on in one namespace, which each leaves as it was.
func wander(t *testing.T, seed, first, step, count uint64) {
	begin := bed(t)
	steps, kinds := 0, make([]int, len(moves()))
	for i := first; i < count; i += step {
		list := sequence(seed + i)
		steps += len(list)
		if err := begin.play(list); err != nil {
			t.Fatalf("EC2NET_SEED=%d EC2NET_SEQUENCES=1: %v\n%s", seed+i, err, shrink(t, list))
		}
		for _, s := range list {
			kinds[s.kind]++
		}
	}
	var told []string
	for k, m := range moves() {
		told = append(told, fmt.Sprintf("%s %d", m.name, kinds[k]))
	}
	t.Logf("%d steps: %s; %d processes killed, %d requests refused", steps, strings.Join(told, ", "), begin.killed, begin.refused)
}

// stroke is one thing that happens; what exactly is drawn from a and b, so that a sequence stays
// meaningful when others of its strokes are left out.
type stroke struct{ kind, a, b int }

func sequence(seed uint64) (out []stroke) {
	rnd := rand.New(rand.NewPCG(seed, seed))
	out = append(out, stroke{0, rnd.IntN(1 << 16), rnd.IntN(1 << 16)})
	for range 2 + rnd.IntN(6) {
		out = append(out, stroke{rnd.IntN(len(moves())), rnd.IntN(1 << 16), rnd.IntN(1 << 16)})
	}
	return out
}

// shrink leaves out of a failing sequence what it fails without, and tells the rest.
func shrink(t *testing.T, list []stroke) (told string) {
	t.Helper()
	for i := 0; i < len(list); {
		shorter := slices.Delete(slices.Clone(list), i, i+1)
		if failing, _ := again(t, shorter); failing {
			list = shorter
			continue
		}
		i++
	}
	failing, story := again(t, list)
	return fmt.Sprintf("the shortest that fails in a fresh namespace (it does: %v):\n%s", failing, story)
}

// again plays a sequence in a namespace of its own.
func again(t *testing.T, list []stroke) (failing bool, story string) {
	t.Run("again", func(t *testing.T) {
		v := bed(t)
		err := v.play(list)
		failing, story = err != nil, fmt.Sprintf("%s%v", strings.Join(v.story, "\n"), err)
	})
	return failing, story
}

// venue is a host, its interfaces and the processes that keep them.
type venue struct {
	h               *netlink.Handle
	actors          []*actor // the primary interface's first
	blind           int      // keys that cannot be asked now; everything: the metadata is silent
	next            int      // the number that the next interface gets
	undo            []string
	story           []string
	killed, refused int
}

const everything = 1<<4 - 1 // addresses and blocks of both families

// bed is a new host with one interface.
func bed(t *testing.T) *venue {
	t.Helper()
	host(t)
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return &venue{h: h}
}

// play does the strokes one by one and looks at the world after each. In the end all interfaces are left.
func (v *venue) play(list []stroke) error {
	v.actors, v.blind, v.next, v.undo, v.story = nil, 0, 1, nil, nil
	if err := ipBatch("link del eth1"); err != nil && len(v.story) > 0 {
		return err
	}
	origin, err := look(v.h)
	if err != nil {
		return err
	}
	first, err := v.appoint(primaryInterface())
	if err != nil {
		return err
	}
	defer v.close()
	first.read(0)
	for _, s := range list {
		m := moves()[s.kind]
		v.story = append(v.story, fmt.Sprintf("%s %d %d", m.name, s.a, s.b))
		if err := m.do(v, s.a, s.b); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if err := v.settle(); err != nil {
			return fmt.Errorf("after %s: %w", m.name, err)
		}
	}
	return v.finish(origin)
}

func (v *venue) close() {
	for _, a := range v.actors {
		a.link.Close()
	}
}

// settle has every process read the metadata twice and reconcile, until none has anything to do, and
// compares the world with the oracle's.
func (v *venue) settle() error {
	before, err := look(v.h)
	if err != nil {
		return err
	}
	for range 2 {
		for _, a := range v.actors {
			a.read(v.blind)
		}
	}
	if err := v.reconcile(); err != nil {
		return err
	}
	return v.judge(before)
}

func (v *venue) reconcile() error {
	var did []string
	for range 4 {
		did = nil
		for _, a := range v.actors {
			done, err := a.reconcile()
			if errors.Is(err, ErrNotConverged) || errors.Is(err, errHarm) {
				return err
			}
			if len(done) > 0 {
				did = append(did, done.String())
			}
		}
		if did == nil {
			return nil
		}
	}
	return fmt.Errorf("the interfaces never come to rest:\n%s", strings.Join(did, "\n"))
}

// judge compares what is there with the oracle, and what is of others with what was there before.
func (v *venue) judge(before sight) error {
	now, err := look(v.h)
	if err != nil {
		return err
	}
	var ifaces []*cloudInterface
	for _, a := range v.actors {
		if a.believed != nil {
			ifaces = append(ifaces, a.due())
		}
	}
	if d := cmp.Diff(expected(ifaces, now), now.ours); d != "" {
		return fmt.Errorf("the kernel (-oracle +kernel):\n%s", d)
	}
	if d := cmp.Diff(before.others, now.others); d != "" {
		return fmt.Errorf("what is of others (-before +after):\n%s", d)
	}
	for _, c := range ifaces {
		if c.mtu != 0 && now.mtus[c.name] != c.mtu {
			return fmt.Errorf("%s has MTU %d, its lease says %d", c.name, now.mtus[c.name], c.mtu)
		}
		if g := now.groups[c.name]; (len(ifaces) > 1 && g != 236 && g != usersGroup) || (len(ifaces) == 1 && c.n == 0 && g == 236 && len(v.actors) == 1) {
			return fmt.Errorf("%s is in group %d", c.name, g)
		}
	}
	return nil
}

// finish leaves all interfaces. Nothing of ours may be left, and nothing of others be missing.
func (v *venue) finish(origin sight) error {
	before, err := look(v.h)
	if err != nil {
		return err
	}
	for _, a := range slices.Backward(v.actors) {
		if done, err := a.link.Leave(context.Background(), a.before); err != nil {
			return fmt.Errorf("leave %s: %w\n%s", a.name, err, done)
		}
	}
	now, err := look(v.h)
	if err != nil {
		return err
	}
	if d := cmp.Diff(before.others, now.others); d != "" || len(now.ours) > 0 {
		return fmt.Errorf("left behind: %q; of others (-before +after):\n%s", now.ours, d)
	}
	for _, a := range v.actors[1:] {
		v.undo = append(v.undo, "link del "+a.name)
	}
	if g := now.groups["eth0"]; g == 236 {
		return fmt.Errorf("eth0 was left in group %d", g)
	}
	if err := ipBatch(append([]string{"link set eth0 group 0"}, v.undo...)...); err != nil { // a user's
		return err
	}
	now, err = look(v.h)
	if d := cmp.Diff(origin.others, now.others); d != "" {
		return fmt.Errorf("at the end (-origin +end):\n%s", d)
	}
	return err
}

// ipBatch runs ip(8) commands; what is refused is left out, as by an operator who errs.
func ipBatch(commands ...string) error {
	c := exec.Command("ip", "-force", "-batch", "-")
	c.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	var exit *exec.ExitError
	if err := c.Run(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}
