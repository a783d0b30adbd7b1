package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"ec2net/test/lab"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// userEnv tells the server that it lives in a user namespace.
const userEnv = "EC2NET_LAB_USERNS"

func upCommand() *cobra.Command {
	var o order
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Build a lab and keep it in the background",
		Long: `Build a lab and keep it until "ec2net-lab down". The instance has eth0
(10.0.0.29, elastic IP 203.0.113.70), configured as an installed host's, and
eth1 (10.0.2.37, elastic IP 203.0.113.166), down and bare as a hot plug leaves
it. The client on the internet is 198.51.100.146.

With --cloud azure it is a virtual machine with eth1 (172.22.5.68 in subnet1,
public address 203.0.113.70), configured, and eth2 (172.22.5.4 in subnet2,
public address 203.0.113.166) and eth3 (172.22.5.132 in subnet3), down and
bare; all three with IP forwarding.

With --cloud oci it is an Oracle instance with eth0 (10.0.0.231, public address
203.0.113.70), configured, and eth1 (10.0.2.37, public address 203.0.113.166),
down and bare, which gets no lease.

With --cloud gce it is a Google instance with eth0 (10.10.0.29, external
address 203.0.113.70), configured, and eth1 (10.20.0.37, external address
203.0.113.166) in another network, down and bare.`,
		Example: "  ec2net-lab up\n  ec2net-lab up --cloud azure\n  ec2net-lab peer testvm 172.22.5.140\n  ec2net-lab udr add subnet3 0.0.0.0/0 172.22.5.132",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Name = labName(cmd)
			if err := up(cmd, o); err != nil {
				return fmt.Errorf("up: %w", err)
			}
			return nil
		},
	}
	cloudFlag(cmd, &o.Cloud, lab.Providers())
	cmd.Flags().IntVar(&o.RPFilter, "rp-filter", 1, "rp_filter: 0 off, 1 strict (RHEL), 2 loose")
	cmd.Flags().BoolVar(&o.DAD, "dad", false, "leave IPv6 duplicate address detection on")
	cmd.Flags().BoolVar(&o.NoEth1, "no-eth1", false, "do not plug in eth1 yet (not on Azure)")
	return cmd
}

// cloudFlag lets a command choose whose cloud the lab is like.
func cloudFlag(cmd *cobra.Command, into *string, known []lab.Provider) {
	var names []string
	for _, p := range known {
		names = append(names, string(p))
	}
	cmd.Flags().StringVar(into, "cloud", names[0], "whose cloud: "+strings.Join(names, ", "))
	if err := cmd.RegisterFlagCompletionFunc("cloud", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag was defined just now
	}
}

func up(cmd *cobra.Command, o order) error {
	p, err := findPlace(o.Name)
	if err != nil {
		return err
	}
	if err := p.make(); err != nil {
		return err
	}
	unlock, err := p.guard()
	if err != nil {
		return err
	}
	defer unlock()
	if conn, err := p.dial(cmd.Context()); err == nil {
		_ = conn.Close()
		return fmt.Errorf("the lab %q is up already; \"ec2net-lab down\" ends it, --name makes another", o.Name)
	} else if !errors.Is(err, errNotUp) {
		return err
	}
	if err := p.start(o); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "lab %q is up: instance, client and fabric\n", o.Name)
	return nil
}

// guard keeps two "up" of one name apart.
func (p place) guard() (unlock func(), err error) {
	f, err := os.OpenFile(p.lock(), os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the lab: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the lab: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// start runs the server in the background and returns when the lab stands.
func (p place) start(o order) error {
	if err := os.Remove(p.socket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove a dead lab's socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.socket(), Net: "unix"})
	if err != nil {
		return fmt.Errorf("make the lab's socket: %w", err)
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	if err := p.spawn(l, o); err != nil {
		return errors.Join(err, os.Remove(p.socket()))
	}
	return nil
}

func (p place) spawn(l *net.UnixListener, o order) error {
	o.Socket = p.name + ".sock"
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	var files []*os.File
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	open := func(f *os.File, err2 error) {
		if err == nil {
			err = err2
		}
		if f != nil {
			files = append(files, f)
		}
	}
	open(l.File())
	open(os.Open(p.dir))
	ready, told, err2 := os.Pipe()
	open(told, err2)
	log, err2 := os.OpenFile(p.log(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err = errors.Join(err, err2); err != nil {
		return fmt.Errorf("prepare the lab: %w", err)
	}
	defer ready.Close()
	defer log.Close()

	cmd := exec.Command("/proc/self/exe", "serve", string(text))
	cmd.Args[0] = "ec2net-lab"
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = files // fdListener, fdDir, fdReady
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if lab.NeedsUserNamespace() {
		cmd.Env = append(os.Environ(), userEnv+"=1")
	}
	if err := lab.StartIsolated(cmd, 0); err != nil {
		return err
	}
	if err := told.Close(); err != nil {
		return err
	}
	problem, err := io.ReadAll(ready)
	if err != nil {
		return fmt.Errorf("wait for the lab: %w", err)
	}
	if len(problem) > 0 {
		return errors.New(string(problem))
	}
	return nil
}

func downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "End the lab and every process in it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := findPlace(labName(cmd))
			if err != nil {
				return err
			}
			if err := p.down(cmd); err != nil {
				return fmt.Errorf("down: %w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "lab %q is down\n", p.name)
			return nil
		},
	}
}

// down asks the server to end and waits until it has.
func (p place) down(cmd *cobra.Command) error {
	conn, err := p.dial(cmd.Context())
	if err != nil {
		return err
	}
	_ = conn.Close()
	var pid int
	if err := p.ask(cmd.Context(), "down", struct{}{}, &pid); err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for the lab's end: %w", err)
	}
	defer unix.Close(fd)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000)
		if n > 0 {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return fmt.Errorf("the lab (process %d) does not end; see %s", pid, p.log())
}
