// Command bench measures ec2net on the lab's cloud, each figure beside what the same work costs
// without ec2net, in the same run: the same kernel objects written by `ip -batch`, the same requests
// made by curl. It prints a table, and writes the same as JSON.
//
// A figure that is over its aim is shown as such and is no failure: times belong to a machine and an
// hour, and only ratios travel. The exit status is 1 when something could not be measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ec2net/test/lab"
)

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		os.Exit(2)
	}
	os.Exit(lab.Main(o))
}

// options is the command line.
type options struct {
	bin  string
	json string
	runs int
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&o.bin, "bin", "bin/ec2net", "the `program` to measure")
	f.StringVar(&o.json, "json", "dist/bench.json", "`file` for the figures as JSON; empty for none")
	f.IntVar(&o.runs, "runs", 11, "`number` of runs of each measurement")
	err := f.Parse(args)
	if err == nil {
		err = o.check(f.Args())
		if err != nil {
			fmt.Fprintln(out, "bench:", err)
		}
	}
	return o, err
}

// check makes the paths absolute and refuses what cannot work.
func (o *options) check(rest []string) (err error) {
	if len(rest) > 0 {
		return fmt.Errorf("%q: bench takes flags only", rest[0])
	}
	if o.runs < 1 {
		return fmt.Errorf("-runs %d: at least 1 is needed", o.runs)
	}
	if o.bin, err = filepath.Abs(o.bin); err != nil {
		return err
	}
	if info, err := os.Stat(o.bin); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("-bin %s: there is no such program (`make build` makes bin/ec2net)", o.bin)
	}
	if o.json == "" {
		return nil
	}
	if o.json, err = filepath.Abs(o.json); err != nil {
		return err
	}
	if strings.HasPrefix(o.json, "/run/") { // where the bench runs, that is an empty file system of its own
		return fmt.Errorf("-json %s: choose a place outside of /run", o.json)
	}
	return nil
}

// Run is the bench, inside of the lab's namespaces. It returns the exit status.
func (o options) Run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A user's path may lack the folders of ip and udhcpc.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	if err := o.measure(ctx, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func (o options) measure(ctx context.Context, out, progress io.Writer) error {
	report, err := o.report()
	if err != nil {
		return err
	}
	parts := []func(context.Context) (Part, error){o.plug, o.fresh, o.resident, o.apply, o.matrix, o.size}
	for i, measure := range parts {
		begun := time.Now()
		part, err := measure(ctx)
		if err != nil {
			return fmt.Errorf("part %d of %d: %w", i+1, len(parts), err)
		}
		fmt.Fprintf(progress, "%d/%d %s (%.1f s)\n", i+1, len(parts), part.Title, time.Since(begun).Seconds())
		report.Parts = append(report.Parts, part)
	}
	if o.json != "" {
		err = report.write(o.json)
	}
	return errors.Join(report.table(out), err)
}

// report is the head of the report.
func (o options) report() (Report, error) {
	r := Report{Time: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU()}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return r, fmt.Errorf("ask for the kernel's version: %w", err)
	}
	r.Kernel = unix.ByteSliceToString(u.Release[:])
	out, err := exec.Command(o.bin, "--version").Output()
	if err != nil {
		return r, fmt.Errorf("%s --version: %w", o.bin, err)
	}
	words := strings.Fields(string(out))
	if len(words) == 0 {
		return r, fmt.Errorf("%s --version says nothing", o.bin)
	}
	r.Version = words[len(words)-1]
	return r, nil
}
