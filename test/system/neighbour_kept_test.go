//go:build system

package system

import (
	"context"
	"fmt"
	"strings"

	"ec2net/test/lab"
)

// keptWhile does something, and wants no rule of ec2net's deleted meanwhile, not even one that is put back at once.
func (b *bed) keptWhile(do func()) {
	b.t.Helper()
	told := &lab.Log{}
	monitor := b.cloud.Instance().Command(context.Background(), "ip", "monitor", "rule")
	monitor.Stdout, monitor.Stderr = told, told
	if err := monitor.Start(); err != nil {
		b.t.Fatal(err)
	}
	defer monitor.Wait()
	defer monitor.Process.Kill()
	b.heard(told, 1)
	do()
	b.heard(told, 2)
	for line := range strings.Lines(told.String()) {
		if strings.HasPrefix(line, "Deleted ") && (strings.Contains(line, "proto ec2net") || strings.Contains(line, "proto 236")) {
			b.t.Errorf("a rule of ec2net's was deleted: %s", line)
		}
	}
}

// heard waits until what has happened so far has been told: the kernel tells it in order.
func (b *bed) heard(told *lab.Log, pref int) {
	b.t.Helper()
	rule := fmt.Sprintf("pref %d from 192.0.2.%d lookup main", pref, pref)
	b.until(limit, func() string { return "ip monitor tells of " + rule + ":\n" + told.String() }, func() bool {
		b.run("sh", "-c", "ip rule add "+rule+" && ip rule del "+rule)
		return strings.Contains(told.String(), fmt.Sprintf("from 192.0.2.%d ", pref))
	})
}
