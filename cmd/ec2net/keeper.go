package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"ec2net/config"
)

// keeper is the process that keeps a card, held by a pidfd so that its number can not come to mean
// another process.
type keeper struct {
	pid, fd int
}

// keeper returns the process that keeps the card, or nil. Close it.
func (s store) keeper(name string) (*keeper, error) {
	pid := s.holder(name)
	if pid <= 0 {
		return nil, nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("process %d, which keeps %s: %w", pid, name, err)
	}
	if s.holder(name) != pid { // it ended, and the number may be somebody else's now
		unix.Close(fd)
		return nil, nil
	}
	return &keeper{pid, fd}, nil
}

func (k *keeper) close() { unix.Close(k.fd) }

func (k *keeper) signal(sig unix.Signal) error {
	if err := unix.PidfdSendSignal(k.fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", k.pid, err)
	}
	return nil
}

// ended waits for the process itself: a pidfd is readable once it has ended.
func (k *keeper) ended(ctx context.Context) error {
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(k.fd), Events: unix.POLLIN}}, 200)
		if n > 0 || (err != nil && !errors.Is(err, unix.EINTR)) {
			return nil
		}
	}
	return fmt.Errorf("process %d does not end: %w", k.pid, ctx.Err())
}

// dismiss asks the process that keeps the card to stop, and waits until it has. It says whether there was one.
func (s store) dismiss(ctx context.Context, name string) (kept bool, err error) {
	k, err := s.keeper(name)
	if k == nil || err != nil {
		return false, err
	}
	defer k.close()
	if err := k.signal(unix.SIGTERM); err != nil {
		return true, err
	}
	return true, k.ended(ctx)
}

// upByKeeper has the process that keeps the card read the metadata now, and waits for its record to
// say that the card is set. Of a card for which the metadata is not asked only the record counts.
func (p *program) upByKeeper(ctx context.Context, a *agent, pid int, wait time.Duration) error {
	name, asks := a.snap.Name, a.keeperAsks()
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	k, err := p.store.keeper(name)
	if k == nil || err != nil {
		return errors.Join(err, fail(exitFailed, "process %d, which kept %s, has just ended: try again", pid, name))
	}
	defer k.close()
	news, err := p.store.watch(ctx)
	if err != nil {
		return err
	}
	asked := time.Now()
	log := p.log.WithField("card", name)
	if asks {
		if err := k.signal(unix.SIGHUP); err != nil {
			return err
		}
		log.Infof("process %d keeps this card: asked it to read the metadata now", k.pid)
	}
	for {
		r, _ := p.store.load(name)
		fresh := !asks || r.ReadAt.After(asked)
		if r.InPart && (fresh || r.degraded() && r.AskedAt.After(asked)) {
			return fail(exitPartial, "%s: set up in part: %s", name, r.State)
		}
		if r.Set && fresh {
			log.Infof("ready: %s", r.State)
			if p.configFile == config.Path && p.store.outdated(name, p.configFile) {
				log.Warnf("%s was changed after process %d had read it: systemctl restart %s", p.configFile, k.pid, unitWord(name))
			}
			return nil
		}
		if r.Undone != nil && fresh {
			return fail(exitFailed, "%s: %s", name, r.State)
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fail(exitUnavailable, "%s: gave up after %s: %s", name, wait, r.State)
		}
	}
}

// outdated: the file was changed, or put there, after the process began to keep the card, which is when it wrote
// its lock.
func (s store) outdated(name, file string) bool {
	var lock, conf unix.Stat_t
	if unix.Stat(s.path(name, ".lock"), &lock) != nil || unix.Stat(file, &conf) != nil {
		return false
	}
	return time.Unix(conf.Ctim.Unix()).After(time.Unix(lock.Mtim.Unix()))
}

// keeperAsks: the process that keeps the card asks the metadata, by what it has learned of the card.
func (a *agent) keeperAsks() bool {
	if card := a.record.Card; card.MAC == a.snap.MAC {
		a.facts = a.facts.Learn(card)
		a.card = a.config.For(a.facts)
	}
	return a.asks()
}

// watch reports each change in the folder of the records, until ctx ends. The end of a process that keeps a
// card is one, however it ends: the kernel closes its lock.
func (s store) watch(ctx context.Context) (<-chan struct{}, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	if _, err := unix.InotifyAddWatch(fd, s.dir, unix.IN_MOVED_TO|unix.IN_DELETE|unix.IN_CLOSE_WRITE); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watch %s: %w", s.dir, err)
	}
	news := make(chan struct{}, 1)
	go func() {
		defer unix.Close(fd)
		buf := make([]byte, 4096)
		for ctx.Err() == nil {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 200)
			if n, _ := unix.Read(fd, buf); n > 0 {
				select {
				case news <- struct{}{}:
				default:
				}
			}
		}
	}()
	return news, nil
}
