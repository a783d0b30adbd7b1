package metadata

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The two interfaces of every fixture.
var (
	primaryMAC = MAC{2, 0, 0, 0, 0, 1}
	secondMAC  = MAC{2, 0, 0, 0, 0, 2}
)

const fakeToken = "AQAEAFhE9dPzXrlWzJ-secret-5hRvGq3pV1nK0bXo0Q4n0u7W2yA=="

// fake serves IMDSv2 from a folder tree, which a test may change while it runs. A fault takes the
// place of the answer for its key.
type fake struct {
	*httptest.Server
	mu     sync.Mutex
	values map[string]string
	faults map[string]http.HandlerFunc
	slow   bool // only the client's clock ends a fault
	hits   map[string]int
	conns  map[string]bool // by the client's address
	token  string
	ttl    string
}

func newFake(t testing.TB, fixture string) *fake {
	return newFakeOn(t, fixture, "127.0.0.1:0")
}

func newFakeOn(t testing.TB, fixture, addr string) *fake {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return serveFake(t, fixture, l)
}

func serveFake(t testing.TB, fixture string, l net.Listener) *fake {
	t.Helper()
	f := &fake{values: load(t, fixture), faults: map[string]http.HandlerFunc{}, hits: map[string]int{}, conns: map[string]bool{}, token: fakeToken, ttl: "300"}
	f.Server = httptest.NewUnstartedServer(f)
	f.Listener.Close()
	f.Listener = l
	f.Start()
	t.Cleanup(f.Close)
	return f
}

// load reads a fixture. A MAC's folder has dashes for colons, which no module may have in a path.
func load(t testing.TB, fixture string) map[string]string {
	t.Helper()
	root, values := filepath.Join("testdata", fixture), map[string]string{}
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(root, path))
		values[colons(path)] = strings.TrimSuffix(string(b), "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func colons(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if m, err := ParseMAC(p); err == nil {
			parts[i] = m.String()
		}
	}
	return strings.Join(parts, "/")
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := keyOf(r)
	f.mu.Lock()
	f.hits[key]++
	f.conns[r.RemoteAddr] = true
	fault, token := f.faults[key], f.token
	f.mu.Unlock()
	switch {
	case fault != nil:
		fault(w, r)
	case key == keyToken:
		f.serveToken(w, r)
	case r.Method != http.MethodGet || r.Header.Get(tokenHeader) != token:
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	default:
		f.serveKey(w, key)
	}
}

func keyOf(r *http.Request) string {
	if r.URL.Path == "/latest/api/token" {
		return keyToken
	}
	key, _ := strings.CutPrefix(r.URL.Path, "/latest/meta-data/")
	return key
}

func (f *fake) serveToken(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut || r.Header.Get(tokenTTL) == "" {
		http.Error(w, "Bad Request", http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set(tokenTTL, f.ttl)
	fmt.Fprint(w, f.token)
}

func (f *fake) serveKey(w http.ResponseWriter, key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v, ok := f.values[key]; ok {
		fmt.Fprint(w, v)
		return
	}
	names := map[string]bool{}
	for k := range f.values {
		if rest, ok := strings.CutPrefix(k, strings.TrimSuffix(key, "/")+"/"); ok {
			name, _, deeper := strings.Cut(rest, "/")
			names[name+map[bool]string{true: "/"}[deeper]] = true
		}
	}
	if len(names) == 0 {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `<?xml version="1.0"?><html><head><title>404 - Not Found</title></head></html>`)
		return
	}
	fmt.Fprint(w, strings.Join(slices.Sorted(maps.Keys(names)), "\n"))
}

func (f *fake) change(edit func(values map[string]string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	edit(f.values)
}

// fail puts a fault in the place of a key's answer; nil takes it away.
func (f *fake) fail(key string, fault http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[key] = fault
}

func (f *fake) asked(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hits[key]
}

// patient is how long a client of the tests waits for what is answered. It ends a test that hangs, and measures nothing.
const patient = time.Minute

// brief is how long it waits for what is not answered.
const brief = 300 * time.Millisecond

// client is an EC2 that asks f. It is patient with what f answers, and brief with the keys that fail.
func (f *fake) client(t testing.TB) *EC2 {
	t.Helper()
	s := newClientAt(t, EC2Options{Endpoint: f.URL})
	s.wire.rt.DialContext = new(net.Dialer).DialContext // without a limit of its own
	s.wire.limit = func(r *http.Request) time.Duration {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.faults[keyOf(r)] != nil && f.slow {
			return brief
		}
		return patient
	}
	return s
}

func newClientAt(t testing.TB, o EC2Options) *EC2 {
	t.Helper()
	o.Timeout = cmp.Or(o.Timeout, patient)
	s, err := NewEC2(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// second is the key of the second interface's value.
func second(name string) string { return interfaceKey(secondMAC, name) }
