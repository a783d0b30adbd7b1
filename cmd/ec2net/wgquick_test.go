package main

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
)

// TestWgQuickDown: the real wg-quick, with the real wireguard-go, deletes nothing of ours, whichever of the two came
// first. It deletes by "ip rule delete table main suppress_prefixlength 0" until its own rule is gone.
func TestWgQuickDown(t *testing.T) {
	t.Parallel()
	conf := filepath.Join(t.TempDir(), "wg9.conf")
	must(t, os.WriteFile(conf, []byte(`[Interface]
PrivateKey = 6Bx7T5M0Zb7ujJYHjFa6Ky3JEJVnm1TJ1TBsP3ZCMlA=
Address = 10.8.0.6/24, fd08::6/64
[Peer]
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
Endpoint = 198.51.100.146:51820
AllowedIPs = 0.0.0.0/0, ::/0
`), 0o600))
	for _, first := range []string{"wg-quick", "ec2net"} {
		t.Run(first+" first", func(t *testing.T) {
			t.Parallel()
			c := cloud(t, lab.Config{RPFilter: 2})
			if first == "wg-quick" {
				wgQuick(t, c, "up", conf)
			}
			keep(t, c, "eth0")
			keep(t, c, "eth1")
			if first == "ec2net" {
				wgQuick(t, c, "up", conf)
			} else {
				answers(t, c, lab.EIP1)
				answers(t, c, lab.EIP2)
			}
			settled(t, c, []string{"eth0", "eth1"}) // what eth0's process lets go of beside eth1 is none of wg-quick's doing
			deleted := deletions(t, c)
			wgQuick(t, c, "down", conf)
			ip(t, c, "rule add from 192.0.2.77 lookup 77 pref 77")
			ip(t, c, "rule del pref 77") // the last one
			if list := deleted(); len(list) > 0 {
				t.Errorf("wg-quick down has taken %d of ec2net's rules away:\n%s", len(list), strings.Join(list, "\n"))
			}
			answers(t, c, lab.EIP1)
			answers(t, c, lab.EIP2)
		})
	}
}

// TestWgQuickTableOff is the configuration that docs/neighbours.md gives, with the tunnel restarted beside ec2net.
func TestWgQuickTableOff(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/neighbours.md")
	must(t, err)
	_, after, _ := strings.Cut(string(text), "```ini\n[Interface]\n")
	recipe, _, ok := strings.Cut(after, "```")
	if !ok {
		t.Fatal("docs/neighbours.md has no configuration of wg-quick")
	}
	conf := filepath.Join(t.TempDir(), "wg9.conf")
	must(t, os.WriteFile(conf, []byte("[Interface]\nPrivateKey = 6Bx7T5M0Zb7ujJYHjFa6Ky3JEJVnm1TJ1TBsP3ZCMlA=\nAddress = 10.8.0.6/24\n"+recipe+
		"[Peer]\nPublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\nEndpoint = 198.51.100.146:51820\nAllowedIPs = 0.0.0.0/0\n"), 0o600))
	c := cloud(t, lab.Config{RPFilter: 2})
	wgQuick(t, c, "up", conf)
	keep(t, c, "eth0")
	keep(t, c, "eth1")
	for _, restart := range []bool{false, true} {
		if restart {
			wgQuick(t, c, "down", conf)
			wgQuick(t, c, "up", conf)
		}
		answers(t, c, lab.EIP1)
		answers(t, c, lab.EIP2)
		if out := ip(t, c, "route get 198.51.100.146"); !strings.Contains(out, "dev wg9") {
			t.Errorf("what the host sends of itself does not go through the tunnel: %s", out)
		}
	}
	wgQuick(t, c, "down", conf)
	if out := ip(t, c, "rule"); strings.Contains(out, "3200") {
		t.Errorf("wg-quick down has left:\n%s", out)
	}
}

func wgQuick(t *testing.T, c *lab.Cloud, verb, conf string) {
	t.Helper()
	if out, status := on(t, c, "wg-quick", verb, conf); status != 0 {
		t.Fatalf("wg-quick %s: exit status %d\n%s", verb, status, out)
	}
}

// deletions watches the rules, until that from 192.0.2.77 is deleted, and returns those of ours that went.
func deletions(t *testing.T, c *lab.Cloud) func() []string {
	t.Helper()
	cmd := c.Instance().Command(t.Context(), "ip", "-N", "monitor", "rule")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	next := make(chan string, 1000)
	go func() {
		for lines.Scan() {
			next <- lines.Text()
		}
		close(next)
	}()
	// It listens once it has seen a rule come.
	for seen := false; !seen; {
		ip(t, c, "rule add from 192.0.2.78 lookup 78 pref 78")
		ip(t, c, "rule del pref 78")
		select {
		case <-next:
			seen = true
		case <-time.After(50 * time.Millisecond):
		}
	}
	return func() (gone []string) {
		for line := range next {
			switch {
			case strings.Contains(line, "Deleted") && strings.Contains(line, "192.0.2.77"):
				must(t, cmd.Process.Kill())
				_ = cmd.Wait()
				return gone
			case strings.Contains(line, "Deleted") && strings.Contains(line, "proto 236"):
				gone = append(gone, line)
			}
		}
		return gone
	}
}
