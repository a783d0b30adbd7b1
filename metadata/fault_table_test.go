package metadata

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// field finds the Answer that a key fills, as a pointer to its status, and empties it.
var fields = map[string]func(*Interface) *Status{
	keyAddrs4:     func(i *Interface) *Status { i.Addrs4.Value = nil; return &i.Addrs4.Status },
	keyAddrs6:     func(i *Interface) *Status { i.Addrs6.Value = nil; return &i.Addrs6.Status },
	keySubnets4:   func(i *Interface) *Status { i.Subnets4.Value = nil; return &i.Subnets4.Status },
	keySubnets6:   func(i *Interface) *Status { i.Subnets6.Value = nil; return &i.Subnets6.Status },
	keyDelegated4: func(i *Interface) *Status { i.Prefixes4.Value = nil; return &i.Prefixes4.Status },
	keyDelegated6: func(i *Interface) *Status { i.Prefixes6.Value = nil; return &i.Prefixes6.Status },
	keyID:         func(i *Interface) *Status { i.ID = ""; return new(Status) },
}

// allKeys is every question that a first reading of an interface with everything asks.
func allKeys() []string {
	keys := []string{keyToken, second(""), keyFirst, second(keyDevice), second(keyCard)}
	for name := range fields {
		keys = append(keys, second(name))
	}
	slices.Sort(keys)
	return keys
}

// wantAfter says what a first reading with one fault must be: whole with one thing changed, or an error.
func wantAfter(whole Interface, key string, k kind) (Interface, error) {
	name := strings.TrimPrefix(key, second(""))
	switch {
	case k == off:
		return Interface{}, ErrDisabled
	case key == keyToken, k == gone && fields[name] == nil:
		return Interface{}, ErrUnavailable
	case name == keyCard: // missing: the interface is on the first network card
		whole.NetworkCard = 0
		return whole, nil
	case fields[name] == nil:
		return Interface{}, ErrNotReady
	}
	*fields[name](&whole) = map[kind]Status{gone: Unavailable, missing: Absent}[k]
	return whole, nil
}

// TestEveryKeyFailsInEveryWay makes each key fail with each fault, on a first reading and on a later
// one. Only the answer of that key may differ, and nothing at all once two readings are settled.
func TestEveryKeyFailsInEveryWay(t *testing.T) {
	for _, ft := range quickFaults() {
		for _, key := range allKeys() {
			t.Run(ft.name+"/"+key, func(t *testing.T) {
				t.Parallel()
				checkFault(t, key, ft, false)
			})
		}
	}
}

// TestEveryKeyIsSlow is the same for faults that only the clock ends; they wait side by side.
func TestEveryKeyIsSlow(t *testing.T) {
	var wg sync.WaitGroup
	for _, ft := range slowFaults() {
		for _, key := range allKeys() {
			wg.Go(func() { checkFault(t, key, ft, true) })
		}
	}
	wg.Wait()
}

func checkFault(t *testing.T, key string, ft fault, slow bool) {
	f := newFake(t, "full")
	f.slow = slow
	warm := f.client(t)
	whole, err := warm.Read(t.Context(), secondMAC)
	if err != nil {
		t.Errorf("%s, %s: undisturbed reading: %v", key, ft.name, err)
		return
	}
	f.fail(key, ft.do)
	if key == interfaceKey(secondMAC, keyAddrs4) && ft.want == missing {
		ft.want = gone // of an interface in an IPv4 subnet that is not believed
	}
	cold := f.client(t)
	checkFirst(t, cold, whole, key, ft)
	checkLater(t, warm, whole, key, ft)
	f.fail(key, nil)
	for name, s := range map[string]*EC2{"cold": cold, "warm": warm} {
		if again, err := s.Read(t.Context(), secondMAC); err != nil || !Same(again, whole) || len(again.Problems) > 0 {
			t.Errorf("%s, %s: %s, after the fault: %v, %v", key, ft.name, name, again, err)
		}
	}
}

func checkFirst(t *testing.T, s *EC2, whole Interface, key string, ft fault) {
	got, err := s.Read(t.Context(), secondMAC)
	want, wantErr := wantAfter(whole, key, ft.want)
	checkNoToken(t, err, got.Problems)
	if !errors.Is(err, wantErr) || !Same(got, want) {
		t.Errorf("%s, %s:\n got %v, %v\nwant %v, %v", key, ft.name, got, err, want, wantErr)
	}
	if said := len(got.Problems) > 0; err == nil && said != (ft.want == gone) {
		t.Errorf("%s, %s: problems %v", key, ft.name, got.Problems)
	}
}

// checkLater reads with a client that remembers what can not change: a failing key that it knows is
// not even asked, and what any other failing key held stays.
func checkLater(t *testing.T, s *EC2, whole Interface, key string, ft fault) {
	got, err := s.Read(t.Context(), secondMAC)
	checkNoToken(t, err, got.Problems)
	if err != nil {
		if _, wantErr := wantAfter(whole, key, ft.want); (wantErr == nil && !errors.Is(err, ErrDisabled)) || !errors.Is(err, wantErr) {
			t.Errorf("%s, %s: later reading: %v", key, ft.name, err)
		}
		return
	}
	if settled := Settle(whole, got); !Same(settled, whole) {
		t.Errorf("%s, %s: lost by one reading:\n got %v\nwant %v", key, ft.name, settled, whole)
	}
	last := Carry(whole, got)
	if settled := Settle(last, last); ft.want == gone && !Same(settled, whole) {
		t.Errorf("%s, %s: lost by two unavailable readings:\n got %v\nwant %v", key, ft.name, settled, whole)
	}
}

func checkNoToken(t *testing.T, err error, problems []error) {
	text := fmt.Sprintf("%v %+v %q", err, err, problems)
	if strings.Contains(text, fakeToken[:12]) || strings.Contains(text, fakeToken[len(fakeToken)-12:]) {
		t.Errorf("the token is in an error: %s", text)
	}
	if len(text) > 4000 {
		t.Errorf("an error of %d characters: %.300s", len(text), text)
	}
}

// TestEverythingFails: with every answer a fault, a reading ends in time and with one clear error.
func TestEverythingFails(t *testing.T) {
	for _, ft := range quickFaults() {
		t.Run(ft.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, "full")
			for _, key := range append(allKeys(), keyMACs) {
				if key != keyToken {
					f.fail(key, ft.do)
				}
			}
			got, err := f.client(t).Read(t.Context(), secondMAC)
			want := map[kind]error{gone: ErrUnavailable, missing: ErrNotReady, off: ErrDisabled}[ft.want]
			if !errors.Is(err, want) || !Same(got, Interface{}) {
				t.Errorf("got %v, %v; want %v", got, err, want)
			}
		})
	}
}

// TestRedirectIsNotFollowed counts what the place that the redirect names is asked.
func TestRedirectIsNotFollowed(t *testing.T) {
	for _, key := range []string{keyToken, second(""), second(keyAddrs4)} {
		f, elsewhere := newFake(t, "plain"), newFake(t, "full")
		f.fail(key, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
		})
		f.client(t).Read(t.Context(), secondMAC)
		elsewhere.mu.Lock()
		if len(elsewhere.hits) > 0 {
			t.Errorf("%s: followed to %v", key, elsewhere.hits)
		}
		elsewhere.mu.Unlock()
	}
}
