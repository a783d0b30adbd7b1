package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ec2net/test/lab"
	"ec2net/test/testkit"
)

// bin is where TestMain has built the two programs, for everybody to run.
var bin string

func TestMain(m *testing.M) { os.Exit(lab.Main(built{m})) }

// built runs tests with the programs built.
type built struct{ *testing.M }

func (b built) Run() int {
	dir, err := os.MkdirTemp("", "ec2net-lab")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755)
	}
	bin = dir
	if err == nil {
		var out []byte
		cmd := exec.Command("go", "build", "-trimpath", "-o", dir, "ec2net/cmd/ec2net", "ec2net/cmd/ec2net-lab")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as `make build` does, so that most of it is there
		if out, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("build: %w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return b.M.Run()
}

// user runs ec2net-lab as somebody, with a runtime directory of its own.
type user struct {
	t       testing.TB
	runtime string
	prefix  []string // what turns a command into this user's
	env     []string // further environment
}

// asMe is the user that runs the tests, who is root or an ordinary user.
func asMe(t testing.TB) *user {
	t.Helper()
	dir, err := os.MkdirTemp("", "run") // t.TempDir makes paths that are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	u := &user{t: t, runtime: dir}
	t.Cleanup(func() { u.try("down") }) // where a test has failed half-way
	return u
}

// asNobody is an ordinary user. Where the tests run in a user namespace already, that is what they run as.
func asNobody(t testing.TB) *user {
	t.Helper()
	u := asMe(t)
	if err := os.Chmod(u.runtime, 0o777); err != nil {
		t.Fatal(err)
	}
	u.prefix = testkit.AsNobody(t)
	return u
}

func (u *user) command(args ...string) *exec.Cmd {
	line := append(append(append([]string{}, u.prefix...), filepath.Join(bin, "ec2net-lab")), args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir = "/"
	cmd.Env = append(append(os.Environ(), "XDG_RUNTIME_DIR="+u.runtime), u.env...)
	return cmd
}

// try runs ec2net-lab and returns its exit status and what it printed.
func (u *user) try(args ...string) (code int, stdout, stderr string) {
	u.t.Helper()
	cmd := u.command(args...)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		u.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), problem.String()
}

// lab runs ec2net-lab, wants it to succeed, and returns what it printed.
func (u *user) lab(args ...string) string {
	u.t.Helper()
	code, out, problem := u.try(args...)
	if code != 0 {
		u.t.Fatalf("ec2net-lab %s: exit status %d\n%s%s", strings.Join(args, " "), code, out, problem)
	}
	return strings.TrimSpace(out)
}

// fails wants an exit status and a message.
func (u *user) fails(want int, message string, args ...string) {
	u.t.Helper()
	code, out, problem := u.try(args...)
	if code != want || !strings.Contains(out+problem, message) {
		u.t.Errorf("ec2net-lab %s: exit status %d, want %d with %q\n%s%s", strings.Join(args, " "), code, want, message, out, problem)
	}
}

// contains wants a text in what a command prints.
func (u *user) contains(want string, args ...string) {
	u.t.Helper()
	if got := u.lab(args...); !strings.Contains(got, want) {
		u.t.Errorf("ec2net-lab %s: no %q in\n%s", strings.Join(args, " "), want, got)
	}
}

// Wrong usage is 2 and points at the help; everything else that fails is 1.
func TestUsage(t *testing.T) {
	u := asMe(t)
	for _, test := range []struct {
		code    int
		message string
		args    []string
	}{
		{0, "ec2net-lab demo", nil},
		{0, "Available Commands", []string{"--help"}},
		{0, "The exit status is the\ncommand's", []string{"exec", "--help"}},
		{0, "fault squat eth1", []string{"fault"}},
		{2, `unknown command "nonsense"`, []string{"nonsense"}},
		{2, "unknown flag: --nonsense", []string{"up", "--nonsense"}},
		{2, `invalid argument "x"`, []string{"up", "--rp-filter", "x"}},
		{2, `See "ec2net-lab exec --help"`, []string{"exec"}},
		{2, "accepts 1 arg(s)", []string{"detach"}},
		{2, "accepts 3 arg(s)", []string{"move", "10.0.0.1"}},
		{2, `invalid argument "off"`, []string{"fault", "metadata", "off"}},
		{2, `unknown command "nonsense" for "ec2net-lab fault"`, []string{"fault", "nonsense"}},
		{2, `unknown command "more" for "ec2net-lab demo"`, []string{"demo", "more"}},
		{2, `invalid argument "fly"; there are [attach enslave free detach]`, []string{"vf", "eth2", "fly"}},
		{2, `invalid argument "maybe"`, []string{"forward", "eth2", "maybe"}},
		{2, "accepts 3 arg(s)", []string{"udr", "add", "subnet3"}},
		{0, "udr add subnet3 0.0.0.0/0", []string{"udr"}},
		{1, `cloud "moon": there are ec2, azure, oci and gce`, []string{"up", "--cloud", "moon"}},
		{1, "--no-eth1 is for EC2", []string{"up", "--cloud", "azure", "--no-eth1"}},
		{1, `"nowhere" is not ADDRESS:PORT`, []string{"probe", "nowhere"}},
		{1, `"0/0" is not a prefix`, []string{"udr", "delete", "subnet3", "0/0"}},
		{1, `"moon" is not an IP address`, []string{"udr", "add", "subnet3", "0.0.0.0/0", "moon"}},
		{1, `"many" is not a number`, []string{"fault", "limit", "many"}},
		{0, "ec2\nazure", []string{"__complete", "up", "--cloud", ""}},
		{1, "no lab is up", []string{"status"}},
		{1, "no lab is up", []string{"down"}},
		{1, "no lab is up", []string{"exec", "instance", "--", "true"}},
		{1, "no lab is up", []string{"fault", "list"}},
		{1, "name \"a/b\"", []string{"up", "--name", "a/b"}},
		{1, "name \"-x\"", []string{"status", "--name=-x"}},
		{1, "rp_filter 9", []string{"up", "--rp-filter", "9"}},
		{1, `"10.0.2" is not an IP address`, []string{"assign", "eth1", "10.0.2"}},
		{1, `"10.0.2.0" is not a prefix`, []string{"assign", "eth1", "--prefix", "10.0.2.0"}},
		{1, "which address of eth1?", []string{"release", "eth1"}},
		{1, "is not PRIVATE=PUBLIC", []string{"attach", "--eip", "10.0.2.5"}},
		{1, "is not a MAC address", []string{"attach", "--mac", "nonsense"}},
		{1, "--count 0", []string{"ping", "client", "10.0.0.29", "-c", "0"}},
		{1, `option "300=00"`, []string{"fault", "dhcp", "--option", "300=00"}},
		{1, `option "121=xyz"`, []string{"fault", "dhcp", "--option", "121=xyz"}},
		{1, `unable to parse`, []string{"fault", "dhcp", "--offer", "nowhere"}},
		{1, "for \"ec2net-lab up\" alone", []string{"serve", "x"}},
	} {
		u.fails(test.code, test.message, test.args...)
	}
	if code, out, _ := u.try("--help"); code != 0 || strings.Contains(out, "  serve ") {
		t.Error("the help names the hidden command")
	}
}

func TestFindPlace(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", strings.Repeat("/long", 30))
	if _, err := findPlace("x"); err == nil || !strings.Contains(err.Error(), "too long for a socket") {
		t.Errorf("%v", err)
	}
	t.Setenv("XDG_RUNTIME_DIR", "")
	p, err := findPlace("x")
	if err != nil || p.dir != "/run/ec2net-lab" || p.socket() != "/run/ec2net-lab/x.sock" {
		t.Errorf("%+v %v", p, err)
	}
	// Somebody else's directory is not used, nor one that others may write to, nor a symbolic link.
	open := place{filepath.Join(t.TempDir(), "open"), "x"}
	if err := os.Mkdir(open.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	link := place{filepath.Join(t.TempDir(), "link"), "x"}
	if err := os.Symlink(t.TempDir(), link.dir); err != nil {
		t.Fatal(err)
	}
	for _, p := range []place{open, link} {
		if err := p.make(); err == nil || !strings.Contains(err.Error(), "not a directory of this user alone") {
			t.Errorf("%s: %v", p.dir, err)
		}
	}
}

func TestNodeEnv(t *testing.T) {
	got := strings.Join(nodeEnv([]string{"A=1", "XDG_RUNTIME_DIR=/x", "NOTIFY_SOCKET=y", "EC2NET_LAB=old", "PATH=/bin"}, "n", "client"), " ")
	if want := "EC2NET_LAB=n EC2NET_LAB_NODE=client A=1 PATH=/bin"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
