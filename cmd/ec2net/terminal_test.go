package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sirupsen/logrus"

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
		waiting := strings.HasPrefix(line, "eth1: waiting for ")
		switch logged := strings.Contains(line, "\n"); {
		case waiting && logged:
			t.Errorf("a line of the log stands behind it: %q", line)
		case !logged && utf8.RuneCountInString(line) >= 40:
			t.Errorf("%d columns: %q", utf8.RuneCountInString(line), line)
		}
	}
	if len(shown) < 2 || !strings.HasPrefix(shown[0], "eth1: waiting for ") {
		t.Errorf("no line is shown: %q", out)
	}
}

// What is logged meanwhile takes the line's place.
func TestWaitingLineAndLog(t *testing.T) {
	var out strings.Builder
	log := newLogger(&out, logrus.InfoLevel)
	line := &progressLine{out: &out, width: 40, begun: time.Now().Add(-time.Minute)}
	log.AddHook(line)
	line.show("eth1", "waiting for the metadata", time.Now().Add(time.Hour), false)
	log.Info("lease of 10.0.2.37/24")
	line.clear()
	const want = "\r\x1b[Keth1: waiting for the metadata, 59m59s\r\x1b[Klease of 10.0.2.37/24\n"
	if got := out.String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
