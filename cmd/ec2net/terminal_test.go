package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"ec2net/test/lab"
)

// The line that tells what `up` waits for is no longer than the terminal, which would else keep pieces of it.
func TestWaitingLine(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	must(t, c.IMDS().Silence())
	out, _ := runOn(c.Instance(), "script -qec 'stty cols 40; ec2net --cloud ec2 up --wait 2s eth1' /dev/null")
	shown := strings.Split(out, "\r\x1b[K")[1:]
	for _, line := range shown {
		if line, _, _ = strings.Cut(line, "\r"); !strings.HasPrefix(line, "ec2net: ") && utf8.RuneCountInString(line) >= 40 {
			t.Errorf("%d columns: %q", utf8.RuneCountInString(line), line)
		}
	}
	if len(shown) < 2 || !strings.HasPrefix(shown[0], "eth1: waiting for ") {
		t.Errorf("no line is shown: %q", out)
	}
}
