package testkit

import (
	"bytes"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// HelpFits wants the help of a command, and of all below it, to fit a terminal of 80 columns.
func HelpFits(t *testing.T, c *cobra.Command) {
	t.Helper()
	c.InitDefaultHelpFlag()
	c.InitDefaultVersionFlag()
	var out bytes.Buffer
	c.SetOut(&out)
	Must(t, c.Help())
	for line := range bytes.Lines(out.Bytes()) {
		if n := utf8.RuneCount(bytes.TrimRight(line, "\n")); n > 80 {
			t.Errorf("%s --help: %d columns: %s", c.CommandPath(), n, line)
		}
	}
	for _, sub := range c.Commands() {
		HelpFits(t, sub)
	}
}
