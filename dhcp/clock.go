package dhcp

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// bootTime is a point on CLOCK_BOOTTIME. A lease runs on while the host is suspended, when Go's
// monotonic clock stands still, and it does not care when somebody sets the wall clock.
type bootTime time.Duration

// forever is after every point that a lease can name.
const forever = bootTime(Infinite)

// bootNow reads CLOCK_BOOTTIME (clock_gettime(2)), which goes on while the machine is suspended: a lease does, too.
func bootNow() bootTime {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("CLOCK_BOOTTIME is not there: " + err.Error()) // in Linux since 2.6.39
	}
	return bootTime(ts.Nano())
}

// plus saturates, since Infinite is one of the durations.
func (b bootTime) plus(d time.Duration) bootTime {
	if d > time.Duration(forever-b) {
		return forever
	}
	return b + bootTime(d)
}

func (b bootTime) minus(o bootTime) time.Duration { return time.Duration(b - o) }

// until returns a context that ends with the given cause when the boot clock reaches at, at once
// after a suspend too.
func until(parent context.Context, at bootTime, cause error) (context.Context, func(), error) {
	ctx, cancel := context.WithCancelCause(parent)
	if at == forever {
		return ctx, func() { cancel(nil) }, nil
	}
	timer, err := alarm(at)
	if err != nil {
		cancel(nil)
		return nil, nil, err
	}
	rung := make(chan struct{})
	go func() {
		defer close(rung)
		if _, err := timer.Read(make([]byte, 8)); err == nil {
			cancel(cause)
		}
	}()
	return ctx, func() {
		timer.Close() // ends the Read
		<-rung
		cancel(nil)
	}, nil
}

// alarm returns a timerfd that becomes readable at the given time. As a non-blocking file it waits
// on the runtime's poller, not on a thread.
func alarm(at bootTime) (*os.File, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create a timer: %w", err)
	}
	at = max(at, 1) // 0 would disarm it
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(at))}
	if err := unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("set a timer: %w", err)
	}
	return os.NewFile(uintptr(fd), "timer"), nil
}
