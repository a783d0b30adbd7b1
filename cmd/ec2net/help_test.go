package main

import (
	"bytes"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// The help of every command fits a terminal of 80 columns.
func TestHelpFits(t *testing.T) {
	eachCommand((&program{}).root(), func(c *cobra.Command) {
		var out bytes.Buffer
		c.SetOut(&out)
		must(t, c.Help())
		for line := range bytes.Lines(out.Bytes()) {
			if n := utf8.RuneCount(bytes.TrimRight(line, "\n")); n > 80 {
				t.Errorf("%s --help: %d columns: %s", c.CommandPath(), n, line)
			}
		}
	})
}

func eachCommand(c *cobra.Command, do func(*cobra.Command)) {
	c.InitDefaultHelpFlag()
	c.InitDefaultVersionFlag()
	do(c)
	for _, sub := range c.Commands() {
		eachCommand(sub, do)
	}
}
