package labtest

import (
	"context"
	"net/netip"
	"testing"

	"ec2net/test/lab"
	"ec2net/test/testkit"
)

// Operator keeps a stream from another host of the VPC to the primary interface, until the test's end: not a
// byte of it may be lost, whatever is tried.
func Operator(t testing.TB, c *lab.Cloud, from, to string) *lab.Stream {
	t.Helper()
	host, err := c.AddPeer("operator", netip.MustParseAddr(from))
	testkit.Must(t, err)
	sshd, err := c.Instance().Echo(netip.AddrPortFrom(netip.MustParseAddr(to), 2222))
	testkit.Must(t, err)
	s, err := host.Stream(t.Context(), sshd.Addr)
	testkit.Must(t, err)
	Alive(t, s)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("the operator's session: %v (%+v)", err, s.Stats())
		}
	})
	return s
}

// Alive wants a session to go on.
func Alive(t testing.TB, s *lab.Stream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Hang)
	defer cancel()
	testkit.Must(t, s.Alive(ctx))
}
