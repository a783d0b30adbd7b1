package metadata

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// waitingServer answers with its ETag, and holds who knows it already until it is another one.
type waitingServer struct {
	mu     sync.Mutex
	tag    string
	change chan struct{} // closed with the next one
	held   chan struct{} // one for each request that is held
}

func (f *waitingServer) set(tag string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tag = tag
	close(f.change)
	f.change = make(chan struct{})
}

func (f *waitingServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	for {
		f.mu.Lock()
		tag, change := f.tag, f.change
		f.mu.Unlock()
		if q.Get("wait_for_change") != "true" || q.Get("last_etag") != tag {
			w.Header().Set("Metadata-Flavor", "Google")
			w.Header().Set("ETag", tag)
			fmt.Fprint(w, "["+nic0JSON("")+"]")
			return
		}
		f.held <- struct{}{}
		select {
		case <-change:
		case <-r.Context().Done():
			return
		}
	}
}

// A change is told at once by the one request that waits for it; what a reading has seen already is no news, and a
// server without ETags is an error.
func TestGCEWait(t *testing.T) {
	f := &waitingServer{tag: "a1", change: make(chan struct{}), held: make(chan struct{}, 9)}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	s, err := NewGCE(GCEOptions{Endpoint: server.URL, Timeout: patient})
	must(t, err)
	t.Cleanup(s.Close)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := make(chan error, 1)
	wait := func() { go func() { told <- s.Wait(ctx) }() }
	wait()
	<-f.held
	f.set("b2")
	must(t, <-told)
	if n := s.Requests(); n != 2 { // one to learn the ETag, one that waits
		t.Errorf("%d requests", n)
	}
	wait()
	<-f.held
	f.set("b2") // as after a time-out of the server's
	<-f.held
	cancel()
	if err := <-told; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	ctx = t.Context()
	f.set("c3")
	_, _, err = s.Interfaces(ctx)
	must(t, err)
	wait()
	<-f.held // the reading has seen it
	f.set("&x=1")
	if err := <-told; !errors.Is(err, errTag) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// A server that does not hold a request, as a proxy's or an older one, is not asked again at once.
func TestGCEWaitNotHeld(t *testing.T) {
	asked := make(chan time.Time, 9)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		w.Header().Set("ETag", "a1")
		fmt.Fprint(w, "["+nic0JSON("")+"]")
		if r.URL.Query().Has("wait_for_change") {
			select {
			case asked <- time.Now():
			default:
			}
		}
	}))
	t.Cleanup(server.Close)
	s, err := NewGCE(GCEOptions{Endpoint: server.URL, Timeout: patient})
	must(t, err)
	t.Cleanup(s.Close)
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan error, 1)
	go func() { told <- s.Wait(ctx) }()
	if first, second := <-asked, <-asked; second.Sub(first) < pollPause {
		t.Errorf("asked again after %s", second.Sub(first))
	}
	cancel()
	if err := <-told; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Where the cloud tells nothing, nobody waits.
func TestWaitUnsupported(t *testing.T) {
	for _, s := range []Source{&EC2{}, &Azure{}, &OCI{}} {
		if err := s.Wait(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%T: %v", s, err)
		}
	}
}
