package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"ec2net/doctor"
	"ec2net/metadata"
)

// doctorCommand is `ec2net doctor [IF]`. It collects facts (examine.go), judges them in package doctor, and prints
// findings on stdout. It changes nothing, asks the cloud for eight seconds at most, and works without root, with gaps
// that it names. Status 0: nothing fails, though there may be warnings; 5: something fails; 3: no cloud was
// recognised.
func (p *program) doctorCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor [IF]",
		Short: "find out what is wrong with the interfaces, and what to do",
		Long: `Find out what is wrong with the interfaces, and what to do about it. The doctor
reads the metadata, the kernel, the records and the files of other network
managers. For each address it asks the kernel where packets leave and whether
it accepts what comes in. It changes nothing. It lists the consequences of a
cause below that cause.

It works without root; what only root may read is then "unknown".
Exit status 5: something fails (warnings alone give 0). Exit status 3: no cloud
is recognised, so nothing was checked.`,
		Args: atMostOneInterface,
		RunE: func(c *cobra.Command, args []string) error {
			return p.doctor(c.Context(), append(args, "")[0])
		},
	}
	c.Flags().BoolVar(&p.json, "json", false, "print JSON")
	return c
}

// doctor examines one interface, or all if iface is "". The log is switched off: what it would say is in the
// findings.
func (p *program) doctor(ctx context.Context, iface string) error {
	p.log.SetOutput(io.Discard) // the findings say it all
	facts, err := p.examined(ctx, iface)
	if err == nil && ctx.Err() != nil { // facts that were not waited for must not become findings
		err = fail(exitFailed, "doctor: interrupted")
	}
	if err != nil {
		return err
	}
	report := doctor.Examine(facts)
	if err := p.printReport(facts, report); err != nil {
		return err
	}
	if report.Worst() == doctor.Fail {
		return quiet(exitDifferences)
	}
	if facts.Cloud == metadata.CloudNone {
		return quiet(exitUnavailable)
	}
	return nil
}

// printReport prints the report as text or JSON.
func (p *program) printReport(f doctor.Facts, r doctor.Report) error {
	if !p.json {
		return r.Write(p.out, viewOf(p.out).colour)
	}
	return p.encode(struct {
		Version string `json:"version"`
		Kernel  string `json:"kernel"`
		Cloud   string `json:"cloud"`
		doctor.Report
	}{version, f.Kernel, string(f.Cloud), r})
}

// kernelRelease is what `uname -r` prints.
func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}
