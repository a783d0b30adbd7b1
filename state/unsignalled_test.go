package state

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The thread takes no signal that ends the program, and takes them again afterwards.
func TestUnsignalled(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	blocked := func() (out string) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", unix.Gettid()))
		must(t, err)
		_, rest, _ := strings.Cut(string(b), "SigBlk:\t")
		mask, err := strconv.ParseUint(rest[:16], 16, 64)
		must(t, err)
		for _, s := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGURG} {
			if mask&(1<<(uint(s)-1)) != 0 {
				out += unix.SignalName(s) + " "
			}
		}
		return out
	}
	before, during := blocked(), ""
	Unsignalled(func() { during = blocked() })
	if after := blocked(); before != "" || during != "SIGHUP SIGINT SIGTERM " || after != "" {
		t.Errorf("blocked are %q, then %q, then %q", before, during, after)
	}
}
