package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ec2net/test/lab"
)

// The time that `up` waits begins with its first question, however long it took until then: here it can not read
// udev's database before that time has passed.
func TestWaitBeginsWithTheQuestion(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	index := strings.SplitN(ip(t, c, "-o link show dev eth1"), ":", 2)[0]
	db := "/run/udev/data/n" + index
	shell(t, c.Instance(), "mkdir -p /run/udev/data && mkfifo "+db)
	const wait = 2 * time.Second
	slow := c.Instance().Command(t.Context(), "sh", "-c", fmt.Sprintf("exec 3>%s; rm %[1]s; sleep %g", db, (wait+time.Second/2).Seconds()))
	must(t, slow.Start())
	begun := time.Now()
	out, status := on(t, c, "ec2net", "--cloud", "ec2", "up", "eth1", "--wait", wait.String())
	must(t, slow.Wait())
	if took := time.Since(begun); took < wait {
		t.Fatalf("the program was not held up: it ended after %s", took)
	}
	if n := len(c.IMDS().Requests(begun)); n == 0 {
		t.Errorf("status %d, and the metadata was not asked:\n%s", status, out)
	}
}
