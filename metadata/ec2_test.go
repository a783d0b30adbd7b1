package metadata

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestBounds: just within what is accepted, and just beyond it, where a part would look whole.
func TestBounds(t *testing.T) {
	page := func(header, space int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("a", header))
			fmt.Fprint(w, "10.0.2.37\n", strings.Repeat(" ", space), "10.0.2.5")
		}
	}
	for _, tt := range []struct {
		header, space int
		want          Status
	}{
		{0, maxBody - 18, Present}, {0, maxBody - 17, Unavailable}, {0, maxBody, Unavailable},
		{maxHeader - 2000, 0, Present}, {maxHeader + 100, 0, Unavailable},
	} {
		f := newFake(t, "plain")
		f.fail(second(keyAddrs4), page(tt.header, tt.space))
		got, err := f.client(t).Read(t.Context(), secondMAC)
		if err != nil || got.Addrs4.Status != tt.want || (tt.want == Present && len(got.Addrs4.Value) != 2) {
			t.Errorf("%d of header, %d of space: %v, %v", tt.header, tt.space, got, err)
		}
	}
}

func TestErrorSaysWhatAndHow(t *testing.T) {
	f := newFake(t, "plain")
	f.fail(second(""), throttle)
	_, err := f.client(t).Read(t.Context(), secondMAC)
	var e *Error
	if !errors.As(err, &e) || e.Key != second("") || e.Status != 429 || e.RetryAfter != 7*time.Second {
		t.Errorf("got %#v", e)
	}
	want := "read interface 02:00:00:00:00:02: ask metadata for network/interfaces/macs/02:00:00:00:00:02/: metadata unavailable (status 429)"
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if d := Backoff(0, err, 0); d != 7*time.Second {
		t.Errorf("back-off %s", d)
	}
	f.fail(keyToken, throttle)
	if _, err = f.client(t).Read(t.Context(), secondMAC); !errors.As(err, &e) || e.Key != keyToken || e.RetryAfter != 7*time.Second {
		t.Errorf("token: %#v", e)
	}
}

func TestRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	l.Close()
	_, err = newClientAt(t, EC2Options{Endpoint: url}).Read(t.Context(), secondMAC)
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v", err)
	}
}

func TestContextEndsRead(t *testing.T) {
	for _, key := range []string{keyToken, second(""), second(keyAddrs4)} {
		f := newFake(t, "plain")
		ctx, cancel := context.WithCancel(t.Context())
		f.fail(key, func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		})
		begin := time.Now()
		_, err := f.client(t).Read(ctx, secondMAC)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnavailable) || time.Since(begin) >= patient {
			t.Errorf("%s: %v after %s", key, err, time.Since(begin))
		}
	}
}

// TestOwnTimeoutIsNotTheCallers: errors.Is must tell a caller's deadline from ours.
func TestOwnTimeoutIsNotTheCallers(t *testing.T) {
	f := newFake(t, "plain")
	f.fail(second(""), func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	f.slow = true
	_, err := f.client(t).Read(t.Context(), secondMAC)
	if !errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "within 300ms") {
		t.Errorf("got %v", err)
	}
}

// TestFewConnections reads 15 interfaces at once; the server counts connections and tokens.
func TestFewConnections(t *testing.T) {
	f := newFake(t, "plain")
	f.change(func(v map[string]string) {
		for i := range 15 {
			m := MAC{2, 0, 0, 0, 1, byte(i)}
			v[interfaceKey(m, keyDevice)], v[interfaceKey(m, keyAddrs4)] = fmt.Sprint(i+1), "10.0.2.37"
		}
	})
	s := f.client(t)
	var wg sync.WaitGroup
	for i := range 15 {
		wg.Go(func() {
			if got, err := s.Read(t.Context(), MAC{2, 0, 0, 0, 1, byte(i)}); err != nil || got.N() != i+1 {
				t.Error(got, err)
			}
		})
	}
	wg.Wait()
	if n := f.asked(keyToken); n != 1 {
		t.Errorf("%d tokens for 15 interfaces", n)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.conns) > maxConns {
		t.Errorf("%d connections, at most %d wanted", len(f.conns), maxConns)
	}
}

// TestNothingLeft: after faults of every kind, no goroutine and no descriptor stays.
func TestNothingLeft(t *testing.T) {
	f := newFake(t, "full")
	f.slow = true
	s := f.client(t)
	before := runtime.NumGoroutine()
	for _, ft := range append(quickFaults(), slowFaults()...) {
		f.fail(second(keyAddrs4), ft.do)
		s.Read(t.Context(), secondMAC)
	}
	s.Close()
	f.CloseClientConnections()
	for deadline := time.Now().Add(patient); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// TestQueueIsNotTimed: the clock of a request that waits for one of the few connections has not begun. The server
// answers only once all of them are taken.
func TestQueueIsNotTimed(t *testing.T) {
	f := newFake(t, "full")
	s := f.client(t)
	var mu sync.Mutex
	clocks, most := 0, 0 // of what is under way
	count := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		clocks += by
		most = max(most, clocks)
	}
	s.wire.limit = func(*http.Request) time.Duration { count(1); return patient }
	arrived := make(chan struct{}, 2*len(allKeys()))
	answer := make(chan struct{})
	for _, key := range allKeys() {
		f.fail(key, func(w http.ResponseWriter, r *http.Request) {
			if key != keyToken && key != second("") {
				arrived <- struct{}{}
				<-answer
			}
			count(-1)
			if key == keyToken {
				f.serveToken(w, r)
				return
			}
			f.serveKey(w, key)
		})
	}
	go func() {
		for range maxConns {
			<-arrived
		}
		close(answer)
	}()
	got, err := s.Read(t.Context(), secondMAC)
	if err != nil || len(got.Problems) > 0 {
		t.Errorf("%v, %v", got.Problems, err)
	}
	if most != maxConns {
		t.Errorf("%d requests were timed at once, want %d, one for each connection", most, maxConns)
	}
}
