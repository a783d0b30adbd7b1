package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ec2net/test/lab"

	"github.com/spf13/cobra"
)

func demoCommand() *cobra.Command {
	var like string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show what goes wrong with several interfaces, and the mend",
		Long: `Build a lab and show, with real packets on this machine's kernel: an instance
with two interfaces and two elastic IPs, of which the second never answers;
"ec2net up eth1"; both answering; a secondary address that comes and goes; the
interface unplugged, and nothing left. Exit status 1 when something is not as
it should be.

With --cloud azure: traffic shall leave by the second interface, a neighbour's
too, and SSH to the first one's public address shall stay. By hand it is lost,
and everything at the next restart; by ec2net's configuration file it stays.

The ec2net program is the one beside this, else $EC2NET, else the first in
PATH.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			inside, err := lab.Isolate()
			if err == nil && !inside {
				code, err := lab.RunIsolated(os.Environ())
				if err != nil {
					return fmt.Errorf("demo: %w", err)
				}
				return exitWith(code)
			}
			if err == nil {
				err = runDemo(cmd.Context(), cmd.OutOrStdout(), lab.Provider(like))
			}
			if err != nil {
				return fmt.Errorf("demo: %w", err)
			}
			return nil
		},
	}
	cloudFlag(cmd, &like, []lab.Provider{lab.EC2, lab.Azure}) // those of tales
	return cmd
}

func exitWith(code int) error {
	if code == 0 {
		return nil
	}
	return status(code)
}

// findEC2net finds the program that is shown.
func findEC2net() (string, error) {
	if self, err := os.Executable(); err == nil {
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(self), "ec2net")); err == nil {
			return path, nil
		}
	}
	if path := os.Getenv("EC2NET"); path != "" {
		path, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("$EC2NET: %w", err)
		}
		return filepath.Abs(path)
	}
	path, err := exec.LookPath("ec2net")
	if err != nil {
		return "", fmt.Errorf("the ec2net program is needed, beside this one, as $EC2NET or in PATH: %w", err)
	}
	return filepath.Abs(path)
}

// demo tells the story.
type demo struct {
	ctx    context.Context
	cloud  *lab.Cloud
	out    io.Writer
	ec2net string
	dir    string // for the story's files: an ordinary user cannot write to the machine's /etc
	bare   string // the instance's network state before eth1 came
}

// tale is the story of one provider.
type tale struct {
	machine func() lab.Config
	story   func(*demo) []step
	other   lab.Provider // whose story is worth hearing next
}

func tales() map[lab.Provider]tale {
	return map[lab.Provider]tale{
		lab.EC2: {
			machine: func() lab.Config { return lab.Config{Interfaces: []lab.Interface{lab.Eth0()}} },
			story:   (*demo).story, other: lab.Azure,
		},
		lab.Azure: {machine: lab.Seed001, story: func(d *demo) []step {
			return (&egressStory{demo: d, conf: filepath.Join(d.dir, "ec2net.toml")}).story()
		}},
	}
}

// step is a part of the story. Its error says what is not as it should be.
type step struct {
	title string
	run   func() error
}

func runDemo(ctx context.Context, out io.Writer, like lab.Provider) (err error) {
	program, err := findEC2net()
	if err != nil {
		return err
	}
	if err := like.Check(); err != nil {
		return err
	}
	tell, ok := tales()[like]
	if !ok {
		return fmt.Errorf("no story of %s yet; there is one of %v", like, slices.Sorted(maps.Keys(tales())))
	}
	cfg := tell.machine()
	cfg.RPFilter = 1
	cloud, err := lab.New(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cloud.Close()) }()
	d := &demo{ctx: ctx, cloud: cloud, out: out, ec2net: program}
	if d.dir, err = os.MkdirTemp("", "ec2net-lab"); err != nil {
		return err
	}
	defer os.RemoveAll(d.dir)
	for i, s := range tell.story(d) {
		d.say("\n%d. %s\n", i+1, s.title)
		if err := s.run(); err != nil {
			d.say("\n   FAILED: %v\n", err)
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	if tell.other != "" {
		d.say("\nAnother story: ec2net-lab demo --cloud %s\n", tell.other)
	}
	d.say("\nAll as it should be.\n")
	return nil
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format, args...) }

// show runs a command on the instance and prints it with its output, indented.
func (d *demo) show(name string, args ...string) error {
	shown := strings.Join(append([]string{filepath.Base(name)}, args...), " ")
	d.say("   $ %s\n", shown)
	ctx, cancel := context.WithTimeout(d.ctx, time.Minute)
	defer cancel()
	b, err := d.cloud.Instance().Command(ctx, name, args...).CombinedOutput()
	for _, line := range strings.Split(strings.TrimRight(string(b), "\n"), "\n") {
		if line = strings.TrimRight(line, " "); line != "" {
			d.say("   %s\n", line)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", shown, err)
	}
	return nil
}

// showIP runs ip(8), if it is installed: what it shows is checked without it.
func (d *demo) showIP(args ...string) error {
	if _, err := exec.LookPath("ip"); err != nil {
		return nil
	}
	return d.show("ip", args...)
}

// alive wants the client to reach an address.
func (d *demo) alive(a netip.Addr) error {
	rtt, err := d.cloud.Client().Ping(d.ctx, a, lab.Ping{Tries: 3})
	if err != nil {
		d.say("   client -> %-15s no reply\n", a)
		return err
	}
	d.say("   client -> %-15s answers in %v\n", a, rtt.Round(time.Microsecond))
	return nil
}

// quiet is how long the demo waits for an answer that it does not expect.
const quiet = 500 * time.Millisecond

// dead wants an address not to answer, and prints where its answer went.
func (d *demo) dead(a netip.Addr, where func() (string, error)) error {
	_, err := d.cloud.Client().Ping(d.ctx, a, lab.Ping{Timeout: quiet})
	if !errors.Is(err, lab.ErrNoReply) {
		return fmt.Errorf("%s ought not to answer; got %w", a, cmpError(err))
	}
	text, err := where()
	if err != nil {
		return err
	}
	d.say("   client -> %-15s no reply: %s\n", a, text)
	return nil
}

// cmpError names what nil means here.
func cmpError(err error) error {
	if err == nil {
		return errors.New("an answer")
	}
	return err
}
