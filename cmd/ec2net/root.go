package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/vishvananda/netlink"

	"ec2net/agent"
	"ec2net/config"
	"ec2net/metadata"
	"ec2net/state"
)

// The command line: global flags, arguments, and one exit status at the end. What a user asked for goes to stdout
// (plan, status, doctor, explain); what happens meanwhile, and errors, go to stderr or, under a unit, to the journal.

type streams struct {
	in       io.Reader
	out, err io.Writer
}

// program is what every command gets: the global flags, ready for use.
type program struct {
	streams
	// ctx ends with a signal.
	ctx context.Context
	// cloud, configFile, logLevel and json are the flags.
	cloud      string
	configFile string
	// waits has config wait for the file without a limit; configLost: its file system does not answer.
	waits      bool
	configLost bool
	logLevel   string
	json       bool
	log        *logrus.Logger
	store      state.Store
}

// execute runs one command line and returns the exit status. An error is printed once, here, as "ec2net: …" on
// stderr; the commands only return it.
func execute(ctx context.Context, argv []string, s streams) int {
	p := &program{streams: s, ctx: ctx}
	root := p.root()
	root.SetArgs(args(argv))
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	err := root.ExecuteContext(ctx)
	if err != nil && !errors.Is(err, errQuiet) {
		fmt.Fprintf(s.err, "ec2net: %v\n", err)
	}
	return statusOf(err)
}

// args turns the names that users of ec2-net-utils know (ec2ifup, ec2ifdown, ec2ifscan, links to this program) into a
// command line.
func args(argv []string) []string {
	rest := []string{}
	if len(argv) > 0 {
		rest = argv[1:]
		old := map[string]string{"ec2ifup": "up", "ec2ifdown": "down", "ec2ifscan": "scan"}
		if command, ok := old[filepath.Base(argv[0])]; ok {
			return append([]string{command}, rest...)
		}
	}
	return rest
}

const longHelp = `ec2net makes every network interface of a cloud instance answer for itself:
the answer to a packet leaves by the interface that the packet came in by.

It reads the instance metadata, takes a DHCP lease, and sets up addresses, a
routing table and policy rules. It marks everything it writes with protocol 236
and touches nothing else. "ec2net down" removes all of it.

Exit status: 0 converged or nothing to do, 1 failed, 2 usage or configuration,
3 metadata unavailable and nothing changed, 4 partly set up, 5 differences or
problems found.`

// root builds the tree of commands. Cobra prints neither usage nor errors by itself: an error of the command line is
// one line and a hint at --help.
func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:               "ec2net",
		Short:             "every network interface of a cloud instance answers by itself",
		Long:              longHelp,
		Version:           version,
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return p.prepare() },
		Args:              usageArgs(cobra.NoArgs),
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fail(exitUsage, "%w\nTry \"%s --help\".", err, c.CommandPath())
	})
	f := root.PersistentFlags()
	f.StringVar(&p.cloud, "cloud", "auto", "`name`: "+clouds())
	f.StringVar(&p.configFile, "config", config.Path, "configuration `file`")
	f.StringVar(&p.logLevel, "log-level", "info", "`level`: error, warning, info or debug")
	root.AddCommand(p.upCommand(), p.runCommand(), p.downCommand(), p.planCommand(), p.statusCommand(), p.scanCommand(), p.doctorCommand(), p.explainCommand())
	root.CompletionOptions.HiddenDefaultCmd = true
	p.completions(root)
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.Args = usageArgs(helpTopic)
	}
	return root
}

// helpTopic refuses a command that does not exist. Cobra would answer "ec2net help typo" with the help of the whole
// program and status 0.
func helpTopic(help *cobra.Command, args []string) error {
	if c, _, err := help.Root().Find(args); len(args) > 0 && (err != nil || c == help.Root()) {
		return fmt.Errorf("unknown command %q for %q", args[0], help.Root().Name())
	}
	return nil
}

// prepare checks the global flags and opens the log and the state folder, before any command runs.
func (p *program) prepare() (err error) {
	level, err := logrus.ParseLevel(p.logLevel)
	if err != nil {
		return fail(exitUsage, "--log-level %q: choose error, warning, info or debug", p.logLevel)
	}
	if _, known := metadata.ProviderOf(metadata.Cloud(p.cloud)); p.cloud != "auto" && !known {
		return fail(exitUsage, "--cloud %q: choose %s", p.cloud, clouds())
	}
	p.log = newLogger(p.err, level)
	p.store, err = state.Open(cmp.Or(firstDir(os.Getenv("RUNTIME_DIRECTORY")), "/run/ec2net"))
	return err
}

// firstDir is the first of the directories in RUNTIME_DIRECTORY, which systemd separates by colons (systemd.exec(5)).
func firstDir(s string) string {
	first, _, _ := strings.Cut(s, ":")
	return first
}

// usageArgs gives cobra's complaints about arguments the exit status of a usage error, 2.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return fail(exitUsage, "%w\nTry \"%s --help\".", err, c.CommandPath())
		}
		return nil
	}
}

// oneInterface checks the IF argument of a command.
func oneInterface(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fail(exitUsage, "%s needs the name of one network interface, such as eth1", c.CommandPath())
	}
	return names(c, args)
}

// atMostOneInterface checks the optional IF argument of a command.
func atMostOneInterface(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fail(exitUsage, "%s takes one interface at most", c.CommandPath())
	}
	return names(c, args)
}

// names checks that every argument can be an interface's name, and replaces an alternative name (IFLA_ALT_IFNAME,
// such as the ENI's id) by the interface's own: locks, records and units go by that.
func names(_ *cobra.Command, args []string) (err error) {
	for i := range args {
		if args[i], err = ownName(args[i]); err != nil {
			return err
		}
	}
	return nil
}

// ownName is the kernel's own name of the interface that has this name or alternative name. A name that no interface
// here has is returned as it is: its record may exist.
func ownName(name string) (string, error) {
	if err := config.ValidAltName(name); err != nil {
		return "", fail(exitUsage, "%w", err)
	}
	if l, err := netlink.LinkByName(name); err == nil {
		return l.Attrs().Name, nil
	}
	if err := config.ValidName(name); err != nil {
		return "", fail(exitUsage, "%w, nor is it an alternative name of an interface here; this host has %s", err, strings.Join(agent.InterfaceNames(), ", "))
	}
	return name, nil
}
