package plumb

import (
	"fmt"
	"testing"
	"time"
)

// The kernel lists an IPv6 address before it answers for it, which is to be seen longest where it looks for
// duplicates.
func TestAnswered(t *testing.T) {
	secondHost(t)
	l := open(t, "eth1")
	sysctl(t, "ipv6/conf/eth1/accept_dad", "1")
	sysctl(t, "ipv6/conf/eth1/dad_transmits", "3")                  // three seconds, so that a slow machine sees it
	ip(t, "addr add 2001:db8:0:2::37/128 dev eth1 metric 23600000") // as older kernels show one of ours
	ip(t, "addr add 2001:db8:0:2::38/128 dev eth1")
	read := func() string {
		t.Helper()
		s, err := l.Read()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(s.Unanswered())
	}
	if got := read(); got != "[2001:db8:0:2::37]" {
		t.Errorf("while it looks for duplicates the kernel does not answer for %s", got)
	}
	for limit := time.Now().Add(patience); read() != "[]"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("the kernel does not answer for %s\n%s", read(), ip(t, "-6 route show table local"))
		}
	}
}
