package metadata

import (
	"errors"
	"strings"
	"testing"
)

func TestTokenRenewed(t *testing.T) {
	f := newFake(t, "plain")
	s := f.client(t)
	for i, token := range []string{"firstfirstfirst1==", "secondsecond2=="} {
		f.mu.Lock()
		f.token = token
		f.mu.Unlock()
		if _, err := s.Read(t.Context(), secondMAC); err != nil {
			t.Error(err)
		}
		if n := f.asked(keyToken); n != i+1 {
			t.Errorf("%d tokens asked for, want %d", n, i+1)
		}
	}
}

func TestTokenLife(t *testing.T) {
	for _, tt := range []struct {
		ttl    string
		tokens int // asked for in two readings; 0 means that none is believed
	}{
		{"21600", 1}, {"9223372036854775807", 1}, {"9300000000", 1},
		{"0", 0}, {"-1", 0}, {"", 0}, {"soon", 0}, {"99999999999999999999", 0},
	} {
		f := newFake(t, "plain")
		f.ttl = tt.ttl
		s := f.client(t)
		_, err := s.Read(t.Context(), secondMAC)
		s.Read(t.Context(), secondMAC)
		if n := f.asked(keyToken); (tt.tokens == 0 && !errors.Is(err, ErrUnavailable)) || (tt.tokens > 0 && (n != tt.tokens || err != nil)) {
			t.Errorf("life %q: %d tokens, %v", tt.ttl, n, err)
		}
	}
}

func TestFalseToken(t *testing.T) {
	for _, tok := range []string{"", " ", "<html>", "two words", "line\nline", "a\x00b", "pässword", strings.Repeat("a", 1025), strings.Repeat("a", 1<<20)} {
		f := newFake(t, "plain")
		f.token = tok
		_, err := f.client(t).Read(t.Context(), secondMAC)
		if !errors.Is(err, ErrUnavailable) || (len(tok) > 3 && strings.Contains(err.Error(), tok)) {
			t.Errorf("%.20q: %.200v", tok, err)
		}
		if n := f.asked(second("")); n != 0 {
			t.Errorf("%.20q: %d keys asked with it", tok, n)
		}
	}
}

// TestNoVersion1: where no token can be had, not one request goes out without.
func TestNoVersion1(t *testing.T) {
	for _, code := range []int{400, 403, 404, 405, 500, 503} {
		f := newFake(t, "plain")
		f.fail(keyToken, status(code))
		s := f.client(t)
		for range 3 {
			if _, err := s.Read(t.Context(), secondMAC); err == nil {
				t.Error("read without a token")
			}
		}
		if f.asked(keyToken) != s.Requests() || s.Requests() != 3 {
			t.Errorf("%d: %v", code, f.hits)
		}
	}
}
