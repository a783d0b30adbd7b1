package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// udevQueue is there as long as udev has events to handle: `udevadm settle` waits for its end, too.
const udevQueue = "/run/udev/queue"

// udevTime is how long the last command of a unit waits for udev, which may hang on a program of the site's.
const udevTime = 10 * time.Second

// NamedForSystemd is an error where systemd knows the interface by another name, so that a start of its unit would wait
// for a device that never comes: udev 247 replaces some characters of the name that 99-systemd.rules hands on.
func NamedForSystemd(root fs.FS, name string, index int) error {
	aliases := strings.Fields(UdevProperty(root, index, "SYSTEMD_ALIAS"))
	if slices.Contains(aliases, sysfsDevices+name) {
		return nil
	}
	for _, a := range aliases {
		if alias := strings.TrimPrefix(a, sysfsDevices); replaced(alias, name) {
			return fmt.Errorf("systemd cannot start the unit of %s, because udev tells it that the interface is %s: give it another name, or run: ec2net run '%s'",
				name, alias, strings.ReplaceAll(name, "'", `'\''`))
		}
	}
	return nil // udev has not seen it, or not yet under this name
}

// replaced reports whether alias is name but for characters that became "_".
func replaced(alias, name string) bool {
	if len(alias) != len(name) || alias == name {
		return false
	}
	for i := range len(name) {
		if alias[i] != name[i] && alias[i] != '_' {
			return false
		}
	}
	return true
}

// AwaitUdev waits until udev has handled the events that it has, so that a new interface has the name that it will keep,
// and systemd has heard of it. It waits for udevTime at most; a host without udev has nothing to wait for.
func AwaitUdev(ctx context.Context) error { return awaitRemoval(ctx, udevQueue, udevTime) }

// awaitRemoval waits until a file is not there (inotify(7)), for as long as limit says.
func awaitRemoval(ctx context.Context, file string, limit time.Duration) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("inotify: %w", err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	if _, err := unix.InotifyAddWatch(fd, filepath.Dir(file), unix.IN_DELETE|unix.IN_MOVED_FROM); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("watch %s: %w", filepath.Dir(file), err)
	}
	if err := events.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = events.SetReadDeadline(time.Unix(1, 0)) })()
	for buf := make([]byte, 4096); ; {
		if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if _, err := events.Read(buf); err != nil {
			return fmt.Errorf("wait for the end of %s: %w", file, errors.Join(ctx.Err(), err))
		}
	}
}

// UdevProperty is a property of an interface in udev's database (/run/udev/data, the file nINDEX); "" if it has none.
func UdevProperty(root fs.FS, index int, key string) string {
	f, err := root.Open(fmt.Sprintf("run/udev/data/n%d", index))
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, 1<<16))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "E:"+key+"="); ok {
			return value
		}
	}
	return ""
}
