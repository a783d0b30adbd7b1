package plumb

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Changes reports that some link, address, route or rule of the network namespace has changed, until ctx
// ends; then the channel is closed. What has changed is not told: read again. One report stands for all that
// came before it was taken.
func Changes(ctx context.Context) (<-chan struct{}, error) {
	s, err := nl.SubscribeAt(netns.None(), netns.None(), unix.NETLINK_ROUTE,
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE,
		unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE)
	if err != nil {
		return nil, fmt.Errorf("watch the kernel: %w", err)
	}
	changes := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, s.Close)
	go func() {
		defer close(changes)
		defer s.Close()
		defer stop()
		for {
			_, _, err := s.Receive()
			lost := errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EINTR)
			if ctx.Err() != nil || (err != nil && !lost) {
				return
			}
			select {
			case changes <- struct{}{}:
			default:
			}
		}
	}()
	return changes, nil
}
