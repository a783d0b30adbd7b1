//go:build system

package system

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ec2net/test/lab"
	"ec2net/test/lab/labtest"
)

// published waits until a port of every address that nothing silences answers a client on the internet.
func (b *bed) published(port string) {
	b.t.Helper()
	for _, c := range b.cloud.Interfaces() {
		for private, eip := range c.EIPs {
			if slices.Contains(b.dead, private.String()) {
				continue
			}
			var err error
			b.until(limit, func() string { return fmt.Sprintf("port %s of %s answers: %v", port, eip, err) }, func() bool {
				err = b.get(net.JoinHostPort(eip.String(), port))
				return err == nil
			})
		}
	}
}

// tunnelled waits until the other end of a tunnel answers the machine.
func (b *bed) tunnelled(end netip.Addr) {
	b.t.Helper()
	labtest.Answers(b.t, b.cloud.Instance(), end, 100*time.Millisecond, limit)
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

// begin starts a program that runs as long as the cloud, and says what it said if the test fails.
func (b *bed) begin(cmd *lab.Cmd) {
	b.t.Helper()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if b.t.Failed() {
			b.t.Logf("%s: %s", cmd.Args, said.String())
		}
	})
}

// staticKey is a key of OpenVPN's, which both ends have.
func staticKey() string {
	key := make([]byte, 256)
	_, _ = rand.Read(key) // it never fails
	var out strings.Builder
	out.WriteString("-----BEGIN OpenVPN Static key V1-----\n")
	for i := 0; i < len(key); i += 16 {
		out.WriteString(hex.EncodeToString(key[i:i+16]) + "\n")
	}
	out.WriteString("-----END OpenVPN Static key V1-----\n")
	return out.String()
}
