package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ec2net/test/lab"
)

// upAsPlanned asks for the plan and then does it with the same arguments: what `plan` prints is what `up` does,
// operation by operation. It is compared as a set, since up repairs what it remembers before the metadata has
// answered, and adds what is new after that. Nothing is done twice, and nothing is done that is undone again.
func upAsPlanned(t *testing.T, c *lab.Cloud, status int, args ...string) string {
	t.Helper()
	cloudly := append([]string{"--cloud", string(c.Provider())}, args...)
	i := slices.Index(cloudly, "up")
	planArgs := slices.Clone(cloudly)
	planArgs[i] = "plan"
	text, got := on(t, c, "ec2net", append(planArgs, "--json")...)
	var plan struct{ Operations []struct{ Verb, Text string } }
	if err := json.Unmarshal([]byte(jsonOf(text)), &plan); err != nil || (got != exitOK && got != exitDifferences) {
		t.Fatalf("ec2net %q: exit status %d, %v\n%s", planArgs, got, err, text)
	}
	want := []string{}
	for _, o := range plan.Operations {
		want = append(want, map[string]string{"add": "+ ", "delete": "- ", "change": "~ "}[o.Verb]+o.Text)
	}
	out := ec2net(t, c, status, args...)
	if d := cmp.Diff(planned(want), planned(operations(out))); d != "" {
		t.Errorf("ec2net %q (-planned +done):\n%s\n%s", args, d, out)
	}
	return out
}

// jsonOf leaves out what was logged before it.
func jsonOf(text string) string { return text[max(0, strings.Index(text, "{")):] }

// operations are what a log says was done.
func operations(log string) (out []string) {
	for line := range strings.Lines(log) {
		_, op, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if len(op) > 2 && strings.Contains("+-~", op[:1]) && op[1] == ' ' {
			out = append(out, op)
		}
	}
	return out
}

// planned leaves out what only doing it brings: the MTU comes by the lease, and a plan takes none; a link that goes up
// brings the kernel's route of the link, of which the interface's table has a copy.
func planned(ops []string) []string {
	out := slices.DeleteFunc(slices.Clone(ops), func(op string) bool {
		mtu := strings.HasPrefix(op, "~ link ") && strings.Contains(op, " mtu ")
		return mtu || strings.HasPrefix(op, "+ route fe80::/64 ")
	})
	slices.Sort(out)
	return append([]string{}, out...)
}

// upOf splits a command line of ec2net's up.
func upOf(cmd string) (args []string, ok bool) {
	f := strings.Fields(cmd)
	ok = len(f) == 5 && f[0] == "ec2net" && f[1] == "--cloud" && f[3] == "up"
	if !ok {
		return nil, false
	}
	return f[3:], true
}
