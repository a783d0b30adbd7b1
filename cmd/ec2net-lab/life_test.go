package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A whole life of a lab, by root and by an ordinary user.
func TestLife(t *testing.T) {
	for name, make := range map[string]func(testing.TB) *user{"me": asMe, "nobody": asNobody} {
		t.Run(name, func(t *testing.T) { life(t, make(t)) })
	}
}

func life(t *testing.T, u *user) {
	u.contains(`lab "default" is up`, "up")
	u.fails(1, "is up already", "up")
	u.contains("2 of 2 answered", "ping", "client", "203.0.113.70")
	u.fails(1, "0 of 1 answered", "ping", "client", "203.0.113.166", "-c", "1", "-W", "100ms")

	u.contains("eth0\neth1\nlo", "exec", "instance", "--", "ls", "/sys/class/net")
	u.contains("eth0\nlo", "exec", "client", "ls", "/sys/class/net")
	u.contains("uid=0(root)", "exec", "instance", "--", "id")
	if got := u.lab("exec", "instance", "--", "sh", "-c", "ls -A /run; pwd; echo $EC2NET_LAB $EC2NET_LAB_NODE $XDG_RUNTIME_DIR"); got != "/\ndefault instance" {
		t.Errorf("on the instance: %q", got)
	}
	u.fails(42, "", "exec", "instance", "--", "sh", "-c", "exit 42")
	u.fails(127, "no-such-program", "exec", "instance", "--", "no-such-program")
	u.fails(1, `no host "moon" in the lab; there are instance, client, fabric`, "exec", "moon", "true")

	u.contains("ready: 10.0.2.37", "exec", "instance", "--", "sh", "-c", filepath.Join(bin, "ec2net")+" up eth1 --cloud ec2 2>&1")
	u.contains("2 of 2 answered", "ping", "client", "203.0.113.166")
	u.contains("PUT /latest/api/token: 200", "log")
	u.contains("REQUEST selecting: ACK", "log")
	if got := u.lab("log", "--since", "0s"); got != "" {
		t.Errorf("nothing was asked since now, but: %s", got)
	}
	u.contains("10.0.2.37=203.0.113.166", "status")
	u.contains("lab \"default\" is down", "down")
	u.fails(1, "no lab is up", "down")
	if left, _ := filepath.Glob(u.runtime + "/ec2net-lab/*.sock"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if log, err := os.ReadFile(u.runtime + "/ec2net-lab/default.log"); err != nil || len(log) != 0 {
		t.Errorf("the server's log: %q %v", log, err)
	}
}

// What is done to interfaces, by command.
func TestInterfaces(t *testing.T) {
	u := asMe(t)
	u.lab("up", "--no-eth1", "--rp-filter", "2")
	u.contains("2", "exec", "instance", "--", "cat", "/proc/sys/net/ipv4/conf/all/rp_filter")
	u.contains("eth1 is attached: eni-", "attach")
	u.contains("10.0.2.37=203.0.113.166", "status")
	u.contains("eth2 is attached", "attach", "eth2")
	u.contains("02:00:00:00:00:99", "attach", "eth3", "--subnet", "subnet-a", "--mac", "02:00:00:00:00:99", "--network-card", "1", "--prefix", "10.0.0.128/28",
		"--id", "eni-0123", "--address", "10.0.0.50", "--address", "2001:db8:ec2::50", "--eip", "10.0.0.50=203.0.113.50", "--mtu", "1400")
	u.contains("10.0.0.50=203.0.113.50 2001:db8:ec2::50 10.0.0.128/28", "status")
	u.contains("eth1 has 10.0.2.5", "assign", "eth1")
	u.contains("eth1 has 10.0.2.40 10.0.2.41", "assign", "eth1", "10.0.2.40", "10.0.2.41", "--eip", "203.0.113.40")
	u.contains("eth1 has 10.0.2.128/28", "assign", "eth1", "--prefix", "10.0.2.128/28")
	u.fails(1, "10.0.2.40 is eth1's", "assign", "eth2", "10.0.2.40")
	u.contains("10.0.2.41 is eth2's", "move", "10.0.2.41", "eth1", "eth2")
	u.contains("eth1 no longer has 10.0.2.40 10.0.2.128/28", "release", "eth1", "10.0.2.40", "--prefix", "10.0.2.128/28")
	u.fails(1, "is not an address of the interface", "release", "eth1", "10.0.2.40")
	u.contains("db is there", "peer", "db", "10.0.2.80")
	u.contains("1 of 1 answered", "ping", "db", "10.0.0.29", "-c", "1")
	u.contains("10.0.2.80", "exec", "db", "--", "ip", "-br", "addr")
	u.contains("eni-0123 is detached", "detach", "eni-0123")
	u.fails(1, `no interface "eth3"`, "detach", "eth3")

	var r labReport
	if err := json.Unmarshal([]byte(u.lab("status", "--json")), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Hosts) != 4 || len(r.Hosts[0].Interfaces) != 3 || r.Hosts[0].Interfaces[1].Name != "eth1" || r.PID == 0 || r.Hosts[0].Interfaces[0].Traffic.FromInterface == 0 {
		t.Errorf("status: %+v", r)
	}
	u.lab("down")
}

// ping says where an answer died.
func TestPingTellsWhere(t *testing.T) {
	u := asMe(t)
	u.lab("up", "--rp-filter", "0")
	u.lab("exec", "instance", "--", "sh", "-c", "ip addr add 10.0.2.37/24 dev eth1 && ip link set eth1 up")
	u.fails(1, "the source check dropped 1 packets that left by eth0 with the source 10.0.2.37, which is not eth0's", "ping", "client", "203.0.113.166", "-c", "1", "-W", "200ms")
	u.contains("the source check dropped 1 packets", "status")
	u.fails(1, "is not an IP address", "ping", "client", "example.com")
	u.contains("2 of 2 answered", "ping", "instance", "198.51.100.146", "--source", "10.0.0.29")
	u.lab("down")
}

// Faults by command: what is injected is at work, is listed, and is cleared.
func TestFaults(t *testing.T) {
	u := asMe(t)
	u.lab("up")
	token := func(want string) {
		t.Helper()
		got := u.lab("exec", "instance", "--", "sh", "-c",
			`curl -s -m 5 -o /dev/null -w '%{http_code} %header{retry-after}' -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token; true`)
		if strings.TrimSpace(got) != want {
			t.Errorf("token: %q, want %q", got, want)
		}
	}
	lease := func(want bool) {
		t.Helper()
		code, _, _ := u.try("exec", "instance", "--", "sh", "-c", "ip link set eth1 up; udhcpc -i eth1 -q -n -f -t 1 -T 1 -s /bin/true")
		if (code == 0) != want {
			t.Errorf("lease: exit status %d, want success %t", code, want)
		}
	}
	token("200")
	if got := u.lab("fault", "imds", "--path", "api/token", "--status", "503", "--retry-after", "7"); got != "imds:1" {
		t.Errorf("fault: %q", got)
	}
	token("503 7")
	u.contains(`imds:1  {"path":"api/token","status":503,"retry_after":"7"}`, "fault", "list")
	u.contains(`"status": 503`, "fault", "list", "--json")
	u.lab("fault", "clear", "imds:1")
	token("200")
	u.lab("fault", "metadata", "refused")
	token("000")
	u.lab("fault", "metadata", "on")
	token("200")
	u.lab("fault", "imds", "--interface", "eth1", "--path", "device-number", "--value", "", "--times", "1")
	u.lab("fault", "imds", "--via", "eth0", "--delay", "1ms", "--for", "1h", "--skip", "1")

	lease(true)
	u.contains("dhcp:1", "fault", "dhcp", "--interface", "eth1", "--silent", "--on", "discover,request")
	lease(false)
	u.lab("fault", "clear")
	if got := u.lab("fault", "list"); got != "" {
		t.Errorf("after clear: %s", got)
	}
	lease(true)
	u.lab("fault", "dhcp", "--offer", "10.0.2.99", "--mask", "0", "--router", "192.0.2.1", "--server", "10.0.2.2", "--mtu", "576",
		"--lease", "2m", "--t1", "1s", "--t2", "1s", "--mangle", "repeated", "--option", "121=00:0a000201", "--option", "6=", "--delay", "1ms", "--times", "1", "--skip", "1", "--for", "1m")
	u.contains(`"mask":0`, "fault", "list")
	u.contains("squat:1", "fault", "squat", "eth1", "10.0.2.37")
	u.contains(`squat:1  {`, "fault", "list")
	u.lab("fault", "clear", "squat:1")

	u.fails(1, "it says nothing of what goes wrong", "fault", "imds")
	u.fails(1, "it says nothing of what goes wrong", "fault", "dhcp", "--interface", "eth1")
	u.fails(1, `no interface "eth9"`, "fault", "imds", "--interface", "eth9", "--reset")
	u.fails(1, "name it as", "fault", "clear", "imds")
	u.fails(1, "there are imds, dhcp and squat", "fault", "clear", "http:1")
	u.lab("down")
}

// Two labs side by side, and two at once under one name: one of them is told no.
func TestSeveral(t *testing.T) {
	u := asMe(t)
	t.Cleanup(func() { u.try("down", "--name", "b") })
	u.lab("up")
	u.contains(`lab "b" is up`, "up", "--name", "b", "--no-eth1")
	u.contains("eth1", "exec", "instance", "--", "ls", "/sys/class/net")
	if got := u.lab("exec", "--name", "b", "instance", "--", "ls", "/sys/class/net"); strings.Contains(got, "eth1") {
		t.Errorf("lab b has %s", got)
	}
	u.lab("down", "--name", "b")
	u.lab("down")

	var wg sync.WaitGroup
	codes := make([]int, 4)
	for i := range codes {
		wg.Add(1)
		go func() {
			defer wg.Done()
			codes[i], _, _ = u.try("up")
		}()
	}
	wg.Wait()
	if sum := codes[0] + codes[1] + codes[2] + codes[3]; sum != 3 {
		t.Errorf("exit statuses of four at once: %v", codes)
	}
	u.lab("down")
}

// "down" ends what still runs on the lab's hosts.
func TestDownEndsProcesses(t *testing.T) {
	u := asMe(t)
	u.lab("up")
	file := filepath.Join(u.runtime, "pid")
	u.lab("exec", "instance", "--", "sh", "-c", "setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >"+file)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	u.lab("down")
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000); n != 1 {
		t.Errorf("process %d lived on (%v)", pid, err)
	}
}

// exec gives a terminal that works: script(1) provides one, and the shell on the instance sees it.
func TestExecTerminal(t *testing.T) {
	u := asMe(t)
	u.lab("up")
	line := filepath.Join(bin, "ec2net-lab") + " exec instance -- sh -c 'test -t 0 && test -t 1 && stty size </dev/tty && echo terminal'"
	cmd := exec.Command("script", "-qec", line, "/dev/null")
	cmd.Env = u.command().Env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil || !strings.Contains(out.String(), "terminal") {
		t.Errorf("%v: %s", err, out.String())
	}
	// Without a command it is the user's shell.
	shell := u.command("exec", "client")
	shell.Stdin = strings.NewReader("echo on $EC2NET_LAB_NODE; exit 5\n")
	shell.Env = append(shell.Env, "SHELL=/bin/sh")
	b, err := shell.Output()
	if string(b) != "on client\n" || shell.ProcessState.ExitCode() != 5 {
		t.Errorf("shell: %q %v", b, err)
	}
	u.lab("down")
}
