package main

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ec2net/test/lab"
)

// A process that holds the lock of the metrics, and a stopped one that keeps an interface, keep no other interface
// and no command waiting; what was asked for meanwhile is written once the lock is free.
func TestMetricsLockHeld(t *testing.T) {
	t.Parallel()
	c := hostile(t, lab.Config{})
	_, file, conf := metricsFolder(t)
	flags := []string{"--config", conf}

	primary := startWith(t, c, "eth0", flags)
	primary.notify.await(t, "READY=1")
	holder := holdLock(t, c, ":metrics.lock")
	must(t, primary.Process.Signal(unix.SIGSTOP))

	k := startWith(t, c, "eth1", flags)
	k.notify.await(t, "READY=1")
	k.stop(t)
	if text := k.log.String(); !strings.Contains(text, "metrics: not up to date: another process holds ") {
		t.Errorf("why the metrics are late is not said:\n%s", text)
	}
	for _, command := range []string{"up", "down", "up"} {
		ec2net(t, c, exitOK, "--config", conf, command, "eth1")
	}

	k = startWith(t, c, "eth1", flags)
	k.notify.await(t, "READY=1")
	if b, _ := os.ReadFile(file); strings.Contains(string(b), `interface="eth1"`) {
		t.Error("written although the lock was held")
	}
	holder.free(t)
	eventually(t, hang, "the metrics are written", func() bool {
		b, _ := os.ReadFile(file)
		return strings.Contains(string(b), `ec2net_interface_ready{interface="eth1"} 1`)
	})
	must(t, primary.Process.Signal(unix.SIGCONT))
	primary.stop(t)
}
