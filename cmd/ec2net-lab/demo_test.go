package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The story with the real program, by root and by an ordinary user.
func TestDemo(t *testing.T) {
	for name, make := range map[string]func(testing.TB) *user{"me": asMe, "nobody": asNobody} {
		t.Run(name, func(t *testing.T) {
			out := make(t).lab("demo")
			for _, want := range []string{
				"rp_filter 1 (strict, as on RHEL)\n   client -> 203.0.113.70    answers in",
				"client -> 203.0.113.166   no reply: the instance's kernel dropped the request (rp_filter)",
				"client -> 203.0.113.166   no reply: the answer left by eth0, and the VPC dropped it there (1 so far): 10.0.2.37 is not eth0's",
				"$ ec2net up eth1 --cloud ec2",
				"from 10.0.2.37 lookup 10001",
				"client -> 203.0.113.166   answers in",
				"client -> 203.0.113.40    answers in",
				"as before eth1 came",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			if !strings.HasSuffix(out, "All as it should be.") {
				t.Errorf("ends with %q", out[len(out)-40:])
			}
		})
	}
}

// The other story: by hand SSH is lost, by the configuration file it stays, after a restart too.
func TestDemoAzure(t *testing.T) {
	for name, make := range map[string]func(testing.TB) *user{"me": asMe, "nobody": asNobody} {
		t.Run(name, func(t *testing.T) {
			out := make(t).lab("demo", "--cloud", "azure")
			for _, want := range []string{
				"client -> 203.0.113.70, port 22: no reply, and the open connection hangs",
				"All that was typed is lost.",
				"from all lookup 14202",
				"5. Everything is restarted\n   client -> 203.0.113.70, port 22: connected\n",
				"168.63.129.16 -> 172.22.5.4: answered by eth2",
				"6. eth2 is unplugged\n   instance -> internet: answers; seen on eth1's wire, from 172.22.5.68\n",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			goesOn := "neighbour -> internet: answers; seen on eth2's wire, from 172.22.5.4\n   client -> 203.0.113.70, port 22: the open connection goes on"
			if strings.Count(out, goesOn) != 2 || !strings.HasSuffix(out, "All as it should be.") {
				t.Errorf("not twice %q, or the end:\n%s", goesOn, out)
			}
		})
	}
}

// A program that ends at once is found out at once, with what it said. The others' last word may be on its way then, so
// that only one ends.
func TestDemoAzureFails(t *testing.T) {
	script := filepath.Join(t.TempDir(), "ec2net")
	text := "#!/bin/sh\n[ $2 = eth2 ] || exec sleep 1000\necho nothing to say of $2\nexit 3\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	u := asMe(t)
	alone(t, u, "/usr/sbin:/usr/bin:/sbin:/bin")
	u.env = []string{"EC2NET=" + script}
	code, out, problem := u.try("demo", "--cloud", "azure")
	for _, want := range []string{"nothing to say of eth2", "ec2net run eth2 has ended: exit status 3"} {
		if code != 1 || !strings.Contains(out+problem, want) {
			t.Errorf("exit status %d, want 1 with %q\n%s%s", code, want, out, problem)
		}
	}
	u.fails(1, `cloud "moon": there are ec2, azure, oci and gce`, "demo", "--cloud", "moon")
	u.fails(1, "no story of oci yet", "demo", "--cloud", "oci")
}

// alone copies ec2net-lab to a place without ec2net beside it, and sets its PATH.
func alone(t *testing.T, u *user, path string) {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("cp", filepath.Join(bin, "ec2net-lab"), dir).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	u.prefix = []string{"env", "PATH=" + path, "/bin/sh", "-c", `shift; exec ` + filepath.Join(dir, "ec2net-lab") + ` "$@"`, "sh"}
}

// A program that does nothing, one that fails, and none at all: the demo notices.
func TestDemoFails(t *testing.T) {
	for name, test := range map[string]struct{ program, want string }{
		"does nothing": {"/bin/true", "FAILED: 10.0.2.37 on eth1: false, want true"}, // and no ip(8): PATH is empty
		"fails":        {"/bin/false", "FAILED: false up eth1 --cloud ec2: exit status 1"},
		"missing":      {"", "the ec2net program is needed, beside this one, as $EC2NET or in PATH"},
		"wrong name":   {"/no/such/ec2net", "$EC2NET: "},
	} {
		t.Run(name, func(t *testing.T) {
			u := asMe(t)
			alone(t, u, t.TempDir())
			u.env = []string{"EC2NET=" + test.program}
			u.fails(1, test.want, "demo")
		})
	}
}

// A stand-in that takes nothing away when the interface goes is found out at the last step.
func TestDemoFindsLeftovers(t *testing.T) {
	script := filepath.Join(t.TempDir(), "ec2net")
	text := `#!/bin/sh -e
# Does with ip(8) what the demo looks at, but for the clean-up.
[ "$1" = up ] || exit 0
ip link set eth1 up
ip addr replace 10.0.2.37/24 dev eth1 noprefixroute
ip route replace default via 10.0.2.1 dev eth1 onlink table 10001
ip rule del pref 20001 2>/dev/null || true
ip rule del pref 20002 2>/dev/null || true
ip rule add from 10.0.2.37 lookup 10001 pref 20001
mac=$(cat /sys/class/net/eth1/address)
token=$(curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
if curl -s -H "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/meta-data/network/interfaces/macs/$mac/local-ipv4s | grep -q 10.0.2.40; then
	ip addr replace 10.0.2.40/32 dev eth1
	ip rule add from 10.0.2.40 lookup 10001 pref 20002
else
	ip addr del 10.0.2.40/32 dev eth1 2>/dev/null || true
fi
`
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	u := asMe(t)
	alone(t, u, "/usr/sbin:/usr/bin:/sbin:/bin")
	u.env = []string{"EC2NET=" + script}
	u.fails(1, "FAILED: the instance is not as it was before eth1 came", "demo")
}
