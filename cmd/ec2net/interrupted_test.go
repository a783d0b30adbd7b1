package main

import (
	"os"
	"testing"
	"time"

	"ec2net/test/lab"
)

// Who interrupts a command that only asks is not told that the metadata does not answer.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"doctor"}, {"plan", "eth1"}, {"scan"}} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			c := cloud(t, lab.Config{})
			spoil(t, c, lab.Fault{Path: "**", Delay: time.Minute})
			out := &lab.Log{}
			cmd := c.Instance().Command(t.Context(), "ec2net", append([]string{"--cloud", "ec2"}, args...)...)
			cmd.Stdout, cmd.Stderr = out, out
			must(t, cmd.Start())
			eventually(t, hang, "a question", func() bool { return c.IMDS().Stats().Requests > 0 })
			must(t, cmd.Process.Signal(os.Interrupt))
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitFailed || out.String() != "ec2net: "+args[0]+": interrupted\n" {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
