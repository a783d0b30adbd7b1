package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
)

// The token of the metadata goes to the metadata and nowhere else: not into the log at its most talkative,
// not to systemd, not into a file, not into what other users see of the process. Credentials and user data
// are not asked for.
func TestSecretsAreKept(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	wire := &lab.Log{}
	dump := c.Instance().Command(t.Context(), "tcpdump", "-i", "any", "-n", "-l", "-U", "-A", "-s0", "--immediate-mode", "tcp port 80")
	dump.Stdout, dump.Stderr = wire, wire
	must(t, dump.Start())
	t.Cleanup(func() { _ = dump.Process.Kill(); _ = dump.Wait() })
	eventually(t, hang, "tcpdump", func() bool { return strings.Contains(wire.String(), "listening on") })

	k := startWith(t, c, "eth1", []string{"--log-level", "debug"})
	k.notify.await(t, "lease until")
	heal := spoil(t, c, lab.Fault{Interface: "eth1", Path: "local-ipv4s", Status: 500, Body: "the token was X-Aws-Ec2-Metadata-Token"})
	k.reload(t, c, "local-ipv4s")
	heal()
	c.IMDS().ExpireTokens()
	k.reload(t, c, "local-ipv4s")

	tokens := map[string]bool{}
	sent := regexp.MustCompile(`(?i)x-aws-ec2-metadata-token: (\S{8,})`)
	eventually(t, hang, "two tokens on the wire", func() bool {
		for _, m := range sent.FindAllStringSubmatch(wire.String(), -1) {
			tokens[m[1]] = true
		}
		return len(tokens) >= 2
	})
	proc := fmt.Sprintf("/proc/%d/", k.Process.Pid)
	files, _ := on(t, c, "sh", "-c", "cat /run/ec2net/* "+proc+"cmdline "+proc+"environ; find /run /tmp -newer "+proc+"cmdline -type f 2>/dev/null | xargs -r cat")
	for where, text := range map[string]string{"log": k.log.String(), "systemd": k.notify.log.String(), "files": files} {
		for token := range tokens {
			if strings.Contains(text, token) || strings.Contains(text, hex.EncodeToString([]byte(token))) {
				t.Errorf("%s: the token is told:\n%s", where, text)
			}
		}
	}
	for _, r := range c.IMDS().Requests(time.Time{}) {
		if strings.Contains(r.Path, "user-data") || strings.Contains(r.Path, "iam") || strings.Contains(r.Path, "identity") {
			t.Errorf("asked for %s", r.Path)
		}
	}
}

// Nothing of a keeper listens: what comes to its sockets is DHCP on its own interface, and the answers to its own
// connections.
func TestNoListener(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	before := listeners(t, c)
	k := keep(t, c, "eth1")
	k.notify.await(t, "lease until")
	if now := listeners(t, c); now != before {
		t.Errorf("listening now:\n%s\nbefore:\n%s", now, before)
	}
	fds, _ := on(t, c, "ls", "-l", fmt.Sprintf("/proc/%d/fd", k.Process.Pid))
	unix, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/unix", k.Process.Pid))
	must(t, err)
	for line := range strings.Lines(string(unix)) { // Flags 00010000: it accepts connections
		f := strings.Fields(line)
		if len(f) > 6 && f[3] == "00010000" && strings.Contains(fds, "socket:["+f[6]+"]") {
			t.Errorf("it accepts connections: %s", line)
		}
	}
}

// listeners are the host's TCP and UDP sockets that anybody may send to.
func listeners(t *testing.T, c *lab.Cloud) string {
	t.Helper()
	out, status := on(t, c, "ss", "-Hlntu")
	if status != 0 {
		t.Fatal(out)
	}
	return out
}
