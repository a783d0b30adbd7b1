package metadata

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// TestOneLostSYN: the kernel repeats a SYN after a second, and the server answers that one.
func TestOneLostSYN(t *testing.T) {
	if !inNetns(t) {
		return
	}
	setUp(t, "lo", "169.254.169.254/32")
	newFakeOn(t, "plain", "169.254.169.254:80")
	s, err := NewEC2(EC2Options{}) // with the limits that the program has
	must(t, err)
	defer s.Close()
	dropFirst(t)
	if got, err := s.Read(t.Context(), secondMAC); err != nil || got.N() != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if n := dropped(t); n != 1 {
		t.Errorf("this test shows nothing: %d SYN were lost", n)
	}
}

// dropFirst loses the first SYN to the server: the rule's limit is one packet a day, and what goes beyond
// a limit does not match (nft(8), LIMIT STATEMENT).
func dropFirst(t *testing.T) {
	t.Helper()
	nft := exec.Command("nft", "-f", "-")
	nft.Stdin = strings.NewReader(`table ip loss {
	chain in {
		type filter hook input priority filter
		ip daddr 169.254.169.254 tcp dport 80 tcp flags & (syn | ack) == syn limit rate 1/day burst 1 packets counter drop
	}
}`)
	if out, err := nft.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
}

// dropped counts the packets that dropFirst's rule has lost.
func dropped(t *testing.T) int {
	t.Helper()
	out, err := exec.Command("nft", "-j", "list", "table", "ip", "loss").Output()
	must(t, err)
	_, counter, _ := bytes.Cut(out, []byte(`"counter": `))
	var c struct{ Packets int }
	must(t, json.NewDecoder(bytes.NewReader(counter)).Decode(&c))
	return c.Packets
}
