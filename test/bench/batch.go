package main

import (
	"fmt"
	"net/netip"
	"strings"
)

// batches are the inputs of `ip -4 -batch` and `ip -6 -batch`: within one batch ip(8) has one family for
// default routes and rules.
type batches struct{ four, six string }

func (b batches) count() int { return strings.Count(b.four, "\n") + strings.Count(b.six, "\n") }

// batchOf turns operations, in the text of plumb.Op, into the input of `ip -batch`. Other lines, such as
// the rest of a log, are left out; "eth1: + rule …" is what the log makes of an operation.
func batchOf(text string) (b batches, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if _, rest, ok := strings.Cut(line, ": "); ok {
			line = rest
		}
		words := strings.Fields(line)
		if len(words) < 3 || !strings.Contains("+-~", words[0]) {
			continue
		}
		command, err := batchLine(words[0], words[1], words[2:])
		if err != nil {
			return batches{}, fmt.Errorf("as ip(8): %q: %w", line, err)
		}
		if six(words) {
			b.six += command + "\n"
		} else {
			b.four += command + "\n"
		}
	}
	return b, nil
}

// only4 is batchOf for an interface without IPv6.
func only4(text string) (string, error) {
	b, err := batchOf(text)
	if err == nil && b.six != "" {
		err = fmt.Errorf("IPv6 where there is none: %s", b.six)
	}
	return b.four, err
}

// mark is what ec2net puts on its routes and rules.
const mark = " protocol 236"

func batchLine(verb, object string, rest []string) (string, error) {
	args := strings.Join(rest, " ")
	do := map[string]string{"+": "add", "-": "del", "~": "replace"}[verb]
	switch {
	case object == "addr" && verb == "+" && six(rest):
		return "addr add " + args + " nodad", nil // as ec2net does
	case object == "addr" && verb != "~":
		return "addr " + do + " " + args, nil
	case object == "route":
		return "route " + do + " " + args + mark, nil
	case object == "rule" && verb != "~":
		return "rule " + do + " " + args + mark, nil
	case object == "altname" && verb != "~" && len(rest) == 3:
		return "link property " + do + " dev " + rest[2] + " altname " + rest[0], nil
	case object == "link" && verb == "~":
		return "link set dev " + args, nil
	}
	return "", fmt.Errorf("no such operation is known")
}

func six(words []string) bool {
	for _, w := range words {
		w, _, _ = strings.Cut(w, "/")
		if a, err := netip.ParseAddr(w); err == nil && a.Is6() {
			return true
		}
	}
	return false
}
