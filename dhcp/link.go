package dhcp

import (
	"context"
	"errors"
	"time"
)

// link follows the carrier of the interface.
type link struct {
	iface   *Client
	carrier <-chan bool
	down    bool // carrier said so last
	poll    time.Duration
}

// guard returns a context that ends with ErrLinkDown when the carrier is lost.
func (l *link) guard(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !l.down {
			select {
			case <-ctx.Done():
				return
			case up, ok := <-l.carrier:
				l.heard(up, ok)
			}
		}
		cancel(ErrLinkDown)
	}()
	return ctx, func() { cancel(nil); <-done }
}

func (l *link) heard(up, ok bool) {
	if !ok {
		l.carrier, up = nil, true // nobody will tell any more: find out by trying
	}
	l.down = !up
}

// up waits until the link is back. When it was not the carrier that told of the loss, the interface is
// tried every now and then: nobody may be telling.
func (l *link) up(ctx context.Context) error {
	tick := time.NewTicker(l.poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case up, ok := <-l.carrier:
			if l.heard(up, ok); up && ok {
				return nil
			}
		case <-tick.C:
			if l.down {
				continue
			}
			if err := l.iface.try(); !errors.Is(err, ErrLinkDown) {
				return err
			}
		}
	}
}

// try says whether sockets can be opened on the interface.
func (c *Client) try() error {
	x, err := c.exchange()
	if err == nil {
		x.close()
	}
	return err
}
