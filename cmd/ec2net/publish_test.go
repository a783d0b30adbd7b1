package main

import (
	"bufio"
	"os"
	"strings"
	"sync"
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
	free := holdMetrics(t, c)
	defer free()
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
	free()
	eventually(t, hang, "the metrics are written", func() bool {
		b, _ := os.ReadFile(file)
		return strings.Contains(string(b), `ec2net_interface_ready{interface="eth1"} 1`)
	})
	must(t, primary.Process.Signal(unix.SIGCONT))
	primary.stop(t)
}

// holdMetrics has another process hold the lock of the metrics until the function it returns is called.
func holdMetrics(t *testing.T, c *lab.Cloud) (free func()) {
	t.Helper()
	holder := c.Instance().Command(t.Context(), "sh", "-c", "exec 9>>/run/ec2net/:metrics.lock; flock 9; echo held; exec sleep 1000")
	out, err := holder.StdoutPipe()
	must(t, err)
	must(t, holder.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the lock is not held: %q, %v", line, err)
	}
	return sync.OnceFunc(func() {
		_ = holder.Process.Kill()
		_ = holder.Wait()
	})
}
