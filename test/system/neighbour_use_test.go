//go:build system

package system

import (
	"context"
	"fmt"
	"net"
	"time"
)

// published waits until a port of every address answers a client on the internet.
func (b *bed) published(port string) {
	b.t.Helper()
	for _, c := range b.cloud.Cards() {
		for _, eip := range c.EIPs {
			var err error
			b.until(limit, func() string { return fmt.Sprintf("port %s of %s answers: %v", port, eip, err) }, func() bool {
				err = b.get(net.JoinHostPort(eip.String(), port))
				return err == nil
			})
		}
	}
}

func (b *bed) get(at string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := b.cloud.Client().Dial(ctx, "tcp", at)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	buf := make([]byte, 4)
	_, err = conn.Read(buf)
	return err
}
