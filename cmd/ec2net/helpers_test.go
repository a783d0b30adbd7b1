package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ec2net/test/lab"
)

// hostile is a cloud to be made to misbehave. Through all of it the operator's own TCP session over the
// primary interface goes on: not a byte may be lost.
func hostile(t *testing.T, cfg lab.Config) *lab.Cloud {
	t.Helper()
	c := cloud(t, cfg)
	session(t, c, "10.0.0.29", lab.EIP1)
	return c
}

// session keeps a stream of bytes from the client through an elastic IP until its end, which is the test's
// at the latest.
func session(t *testing.T, c *lab.Cloud, private string, public netip.Addr) (end func()) {
	t.Helper()
	sshd, err := c.Instance().Echo(netip.AddrPortFrom(addr(private), 22))
	must(t, err)
	s, err := c.Client().Stream(t.Context(), netip.AddrPortFrom(public, sshd.Addr.Port()))
	must(t, err)
	must(t, s.Alive(t.Context()))
	end = sync.OnceFunc(func() {
		if err := s.Close(); err != nil {
			t.Errorf("the session through %s: %v (%+v)", public, err, s.Stats())
		}
	})
	t.Cleanup(end)
	return end
}

// spoil injects a fault of the metadata and returns what ends it.
func spoil(t *testing.T, c *lab.Cloud, f lab.Fault) (heal func()) {
	t.Helper()
	id, err := c.IMDS().Inject(f)
	must(t, err)
	return func() { c.IMDS().Clear(id) }
}

// spoilDHCP injects a fault of the DHCP server and returns what ends it.
func spoilDHCP(t *testing.T, c *lab.Cloud, f lab.DHCPFault) (heal func()) {
	t.Helper()
	id, err := c.DHCP().Inject(f)
	must(t, err)
	return func() { c.DHCP().Clear(id) }
}

func value(s string) *string { return &s }

// reload makes a running process read the metadata now, and waits until it has asked for each of the keys
// that end so, or for any.
func (k *kept) reload(t *testing.T, c *lab.Cloud, keys ...string) {
	t.Helper()
	since := time.Now()
	must(t, k.Process.Signal(syscallHUP))
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	err := c.IMDS().Wait(ctx, since, func(list []lab.Request) bool {
		for _, key := range keys {
			if !slices.ContainsFunc(list, func(r lab.Request) bool { return strings.HasSuffix(r.Path, key) }) {
				return false
			}
		}
		return len(list) > 0
	})
	if err != nil {
		t.Fatalf("after a reload %q was not asked: %v", keys, err)
	}
}

// answersWithin wants an echo reply from an elastic IP before the time is over.
func answersWithin(t *testing.T, c *lab.Cloud, limit time.Duration, dst netip.Addr) time.Duration {
	t.Helper()
	return eventually(t, limit, dst.String()+" answers", func() bool { return echoes(t, c, dst) })
}

func echoes(t *testing.T, c *lab.Cloud, dst netip.Addr) bool {
	t.Helper()
	_, err := c.Client().Ping(t.Context(), dst, lab.Ping{Timeout: 200 * time.Millisecond})
	return err == nil
}

// restored waits until the instance is again as it was, and returns how long that took: a second is promised on a
// machine that has nothing else to do. That it was put right because the change was noticed, and not by the next
// reading, is told by the number of repairs, which counts nothing else.
func restored(t *testing.T, c *lab.Cloud, before []string, what string) time.Duration {
	t.Helper()
	wait := time.Duration(0)
	for begun := time.Now(); ; wait = pause(wait) {
		now, took := world(t, c), time.Since(begun)
		switch {
		case slices.Equal(before, now):
			return took
		case took > hang:
			t.Fatalf("%s: not put right within %s (-before +after):\n%s", what, took, cmp.Diff(before, now))
		}
	}
}

// says wants a text to hold every one of the words.
func says(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in:\n%s", w, text)
		}
	}
}

// wordAfter is the word that follows a part of a text; empty where there is none.
func wordAfter(text, part string) string {
	_, after, _ := strings.Cut(text, part)
	word, _, _ := strings.Cut(after, " ")
	return word
}

// settled waits until the processes of interfaces have done what there is to do: it is on record, and the kernel has
// it. What is seen in the kernel alone may be half of it, since it gets one object after another, and the record
// comes last.
func settled(t *testing.T, c *lab.Cloud, names []string, flags ...string) {
	t.Helper()
	eventually(t, hang, strings.Join(names, " and ")+" are settled", func() bool {
		var list []struct {
			Name  string
			Set   bool
			Drift []string
		}
		must(t, json.Unmarshal([]byte(ec2net(t, c, exitOK, append(slices.Clone(flags), "status", "--json")...)), &list))
		done := 0
		for _, r := range list {
			if slices.Contains(names, r.Name) && r.Set && r.Drift != nil && len(r.Drift) == 0 {
				done++
			}
		}
		return done == len(names)
	})
}

// tells waits until `ec2net status` says every one of the words of an interface: its record comes after what is seen
// in the kernel.
func tells(t *testing.T, c *lab.Cloud, name string, words ...string) {
	t.Helper()
	tellsBy(t, c, nil, name, words...)
}

// tellsBy is tells with global flags.
func tellsBy(t *testing.T, c *lab.Cloud, flags []string, name string, words ...string) {
	t.Helper()
	for _, w := range words {
		var out string
		defer func() {
			if t.Failed() {
				t.Logf("status of %s:\n%s", name, out)
			}
		}()
		eventually(t, hang, fmt.Sprintf("%q in the status of %s", w, name), func() bool {
			out = ec2net(t, c, exitOK, append(slices.Clone(flags), "status", name)...)
			return strings.Contains(out, w)
		})
	}
}

// linkLocals waits until the kernel has given interfaces whose links have just been set up an IPv6 address each, and
// answers for it, which takes it a second or two.
func linkLocals(t *testing.T, c *lab.Cloud, names ...string) {
	t.Helper()
	for _, name := range names {
		eventually(t, hang, name+"'s own IPv6 address", func() bool {
			return strings.Contains(ip(t, c, "-6 route show table local dev "+name), "local fe80::")
		})
	}
}

// statusOf1 is what `ec2net status` says of an interface.
func statusOf1(t *testing.T, c *lab.Cloud, iface string) string {
	t.Helper()
	return ec2net(t, c, exitOK, "status", iface)
}

// logs waits until a process has logged every one of the words. What is logged comes through a pipe, and a change is
// logged once it is made: the kernel, or systemd, may be seen to have it before.
func (k *kept) logs(t *testing.T, words ...string) {
	t.Helper()
	for _, w := range words {
		eventually(t, hang, fmt.Sprintf("%q in the log", w), func() bool { return strings.Contains(k.log.String(), w) })
	}
}

// logsTimes wants a process to log a text so many times, and waits for them.
func (k *kept) logsTimes(t *testing.T, text string, times int) {
	t.Helper()
	count := func() int { return strings.Count(k.log.String(), text) }
	eventually(t, hang, fmt.Sprintf("%q in the log %d times", text, times), func() bool { return count() >= times })
	if n := count(); n != times {
		t.Errorf("%q is logged %d times, want %d:\n%s", text, n, times, k.log)
	}
}

// logsChange waits until a process has logged a change since its log was before.
func (k *kept) logsChange(t *testing.T, before, what string) {
	t.Helper()
	eventually(t, hang, what+": the repair in the log", func() bool {
		return strings.ContainsAny(strings.TrimPrefix(k.log.String(), before), "+~")
	})
}

// lineCount is the number of lines that a process has logged.
func (k *kept) lineCount() int { return strings.Count(k.log.String(), "\n") }

// runOn runs a shell command on a host and returns what it printed and its exit status.
func runOn(n *lab.Node, command string) (string, int) {
	cmd := n.Command(context.Background(), "sh", "-c", command)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		return err.Error(), -1
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// shell runs commands on a host, and wants each to succeed.
func shell(t *testing.T, n *lab.Node, commands ...string) {
	t.Helper()
	for _, cmd := range commands {
		if out, status := runOn(n, cmd); status != 0 {
			t.Fatalf("%s: exit status %d\n%s", cmd, status, out)
		}
	}
}

// configure writes the instance's configuration file.
func configure(t *testing.T, c *lab.Cloud, text string) {
	t.Helper()
	must(t, c.Instance().Do(func() error {
		return errors.Join(os.MkdirAll("/etc/ec2net", 0o755), os.WriteFile("/etc/ec2net/ec2net.toml", []byte(text), 0o600))
	}))
}

func addresses(t *testing.T, c *lab.Cloud, iface string) string {
	t.Helper()
	var list []struct {
		Addrs []struct {
			Local string `json:"local"`
		} `json:"addr_info"`
	}
	must(t, json.Unmarshal([]byte(ip(t, c, "-4 -j addr show dev "+iface)), &list))
	var out []string
	for _, l := range list { // none for an interface without an address
		for _, a := range l.Addrs {
			out = append(out, a.Local)
		}
	}
	return sorted(out)
}

// holds wants every word of a seed's line in one line of the kernel's answer. The protocol is ours,
// and the rule's preference is.
func holds(t *testing.T, output, seed string) {
	t.Helper()
	want := strings.Fields(seed)
	for line := range strings.Lines(output) {
		if have := strings.Fields(line); !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(have, w) }) {
			return
		}
	}
	t.Errorf("no line holds %q:\n%s", seed, output)
}

// forwarding is what the interfaces are set to.
func forwarding(t *testing.T, c *lab.Cloud, ifaces ...string) string {
	t.Helper()
	var out []string
	for _, iface := range ifaces {
		v, err := c.Instance().ReadSysctl("net/ipv4/conf/" + iface + "/forwarding")
		must(t, err)
		out = append(out, v)
	}
	return strings.Join(out, " ")
}
