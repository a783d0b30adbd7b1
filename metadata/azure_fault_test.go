package metadata

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// azureFault is what a fault of the service must be taken for: there is no key to be absent.
func azureFault(ft fault) error {
	if ft.want == off {
		return ErrDisabled
	}
	return ErrUnavailable
}

// TestAzureFaults: every fault is one clear error, and the reading after it is whole.
func TestAzureFaults(t *testing.T) {
	for _, ft := range append(quickFaults(), fault{"501", off, status(501)}) {
		t.Run(ft.name, func(t *testing.T) {
			t.Parallel()
			checkAzureFault(t, ft, false)
		})
	}
}

func TestAzureIsSlow(t *testing.T) {
	var wg sync.WaitGroup
	for _, ft := range slowFaults() {
		wg.Go(func() { checkAzureFault(t, ft, true) })
	}
	wg.Wait()
}

func checkAzureFault(t *testing.T, ft fault, slow bool) {
	f := newFakeAzure(t, document(t, "three"))
	s := f.client(t)
	whole, err := s.Read(t.Context(), secondMAC)
	if err != nil {
		t.Errorf("undisturbed: %v", err)
	}
	f.set(func() { f.fault, f.slow = ft.do, slow })
	got, err := s.Read(t.Context(), secondMAC)
	if !errors.Is(err, azureFault(ft)) || !Same(got, Interface{}) || len(err.Error()) > 400 {
		t.Errorf("%s: %v, %v; want %v", ft.name, got, err, azureFault(ft))
	}
	if _, _, err := s.Interfaces(t.Context()); !errors.Is(err, azureFault(ft)) {
		t.Errorf("%s: Interfaces: %v", ft.name, err)
	}
	f.set(func() { f.fault, f.slow = nil, false })
	if again, err := s.Read(t.Context(), secondMAC); err != nil || !Same(again, whole) {
		t.Errorf("%s: after the fault: %v, %v", ft.name, again, err)
	}
}

// TestAzureRetryAfter: how long the server wants to be left alone gets to Backoff.
func TestAzureRetryAfter(t *testing.T) {
	f := newFakeAzure(t, "")
	f.fault = throttle
	_, err := f.client(t).Read(t.Context(), secondMAC)
	if wait := Backoff(0, err, 0); wait != 7*time.Second {
		t.Errorf("wait %s after %v", wait, err)
	}
}

// TestAzureRequests counts: one request a reading, from the first on, and what an old server costs.
func TestAzureRequests(t *testing.T) {
	for _, tt := range []struct {
		name  string
		known []string
		asked []string // by the first reading; the second asks with the last of them
		fails bool
	}{
		{"the newest is known", nil, []string{newestVersion}, false},
		{"the server names others", []string{"2019-06-04", "2021-02-01", "2020-09-01"}, []string{newestVersion, "2021-02-01"}, false},
		{"and what is no version", []string{"2019-06-04", "9999", "../../x", ""}, []string{newestVersion, "2019-06-04"}, false},
		{"it names none", []string{oldestVersion + " "}, []string{newestVersion, oldestVersion}, false},
		{"it accepts none", []string{"2019-06-04 ", "2018-02-01x"}, []string{newestVersion, oldestVersion}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeAzure(t, document(t, "three"))
			f.versions = tt.known
			if tt.fails {
				f.fault = func(w http.ResponseWriter, r *http.Request) { http.Error(w, "Bad request", http.StatusBadRequest) }
			}
			s := f.client(t)
			_, err := s.Read(t.Context(), secondMAC)
			if (err != nil) != tt.fails || !slices.Equal(f.asked, tt.asked) {
				t.Errorf("asked with %q, want %q; %v", f.asked, tt.asked, err)
			}
			before := s.Requests()
			if _, err = s.Read(t.Context(), secondMAC); !tt.fails && (err != nil || s.Requests() != before+1 || f.asked[len(f.asked)-1] != tt.asked[len(tt.asked)-1]) {
				t.Errorf("again: %d requests, %q, %v", s.Requests()-before, f.asked, err)
			}
		})
	}
}

// TestAzureGoesNowhereElse: no redirect is followed, no proxy asked, and no place taken that needs DNS.
func TestAzureGoesNowhereElse(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("somebody else was asked") }))
	defer elsewhere.Close()
	t.Setenv("HTTP_PROXY", elsewhere.URL)
	t.Setenv("http_proxy", elsewhere.URL)
	f := newFakeAzure(t, document(t, "three"))
	t.Setenv(endpointVarAzure, f.URL)
	s, err := NewAzure(AzureOptions{Host: func() (Host, error) { return Host{Platform: []MAC{primaryMAC}}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Read(t.Context(), secondMAC); err != nil {
		t.Error(err)
	}
	f.set(func() {
		f.fault = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }
	})
	if _, err := s.Read(t.Context(), secondMAC); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	t.Setenv(endpointVarAzure, "http://metadata.azure.internal")
	if _, err := NewAzure(AzureOptions{}); err == nil || !strings.Contains(err.Error(), "IP address") {
		t.Errorf("a name as endpoint: %v", err)
	}
}

// TestAzureHostFails: without the kernel's facts there is no telling whose table is whose.
func TestAzureHostFails(t *testing.T) {
	f := newFakeAzure(t, document(t, "three"))
	broken := errors.New("no memory")
	s, err := NewAzure(AzureOptions{Endpoint: f.URL, Host: func() (Host, error) { return Host{}, broken }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Read(t.Context(), secondMAC); !errors.Is(err, ErrUnavailable) || !errors.Is(err, broken) {
		t.Error(err)
	}
}
