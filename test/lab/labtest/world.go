package labtest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ec2net/test/lab"
)

// World is everything that a stranger could compare on the instance: addresses, routes, rules, links. It is taken
// once the kernel answers for the IPv6 addresses that it lists, which takes it a second or two.
func World(t testing.TB, c *lab.Cloud) []string {
	t.Helper()
	for limit, wait := time.Now().Add(Hang), time.Duration(0); ; {
		if out := pictured(t, c); answered(out) || time.Now().After(limit) {
			return out
		}
		wait = Pause(wait)
	}
}

// answered: each IPv6 address of a picture has its local route, but on a link without a signal, where it may never
// get one, and where another host has it.
func answered(picture []string) bool {
	signal := map[string]bool{}
	for _, line := range picture {
		if f := strings.Fields(line); len(f) > 2 && strings.HasPrefix(f[2], "<") {
			name, _, _ := strings.Cut(strings.TrimSuffix(f[1], ":"), "@")
			signal[name] = strings.Contains(f[2], "LOWER_UP")
		}
	}
	return !slices.ContainsFunc(picture, func(line string) bool {
		f := strings.Fields(line)
		if len(f) < 4 || f[2] != "inet6" || !signal[f[1]] || slices.Contains(f, "dadfailed") {
			return false
		}
		a, _, _ := strings.Cut(f[3], "/")
		return !slices.ContainsFunc(picture, func(route string) bool { return strings.HasPrefix(route, "local "+a+" dev "+f[1]+" ") })
	})
}

// pictured is what ip(8) shows of the instance now, in order.
func pictured(t testing.TB, c *lab.Cloud) []string {
	t.Helper()
	var out []string
	for args, commands := range map[string]string{
		"-o -batch -": "addr\nlink\n", "-batch -": "route show table all\nrule\n", "-6 -batch -": "route show table all\nrule\n",
	} {
		cmd := c.Instance().Command(t.Context(), "ip", strings.Fields(args)...)
		cmd.Stdin = strings.NewReader(commands)
		text, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("ip %s: %v\n%s", args, err, text)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.ReplaceAll(line, " tentative", "") // passes by itself
			out = append(out, strings.Join(strings.Fields(line), " "))
		}
	}
	slices.Sort(out)
	return out
}

// Unchanged wants the instance to be as it was, object by object.
func Unchanged(t testing.TB, c *lab.Cloud, before []string, what string) {
	t.Helper()
	if d := cmp.Diff(Lasting(before), Lasting(World(t, c))); d != "" {
		t.Errorf("%s changed something (-before +after):\n%s", what, d)
	}
}

// Lasting leaves out of a world what the kernel keeps of a link that was up once.
func Lasting(world []string) (out []string) {
	for _, line := range world {
		out = append(out, strings.NewReplacer("qdisc noop ", "", "qdisc noqueue ", "").Replace(line))
	}
	slices.Sort(out)
	return out
}
