package metadata

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestUnknownMACAndNotReady(t *testing.T) {
	stranger := MAC{2, 0, 0, 0, 0, 9}
	f := newFake(t, "plain")
	s := f.client(t)
	if _, err := s.Read(t.Context(), stranger); !errors.Is(err, ErrUnknownMAC) {
		t.Errorf("a MAC that is not listed: %v", err)
	}
	dir := interfaceKey(stranger, "")
	f.change(func(v map[string]string) { v[strings.TrimSuffix(dir, "/")+"/mac"] = "" })
	f.fail(dir, status(404))
	if _, err := s.Read(t.Context(), stranger); !errors.Is(err, ErrNotReady) {
		t.Errorf("a MAC that is listed, its keys 404: %v", err)
	}
	f.fail(dir, nil)
	if _, err := s.Read(t.Context(), stranger); !errors.Is(err, ErrNotReady) {
		t.Errorf("a listing without device-number: %v", err)
	}
	f.fail(dir, status(404))
	f.fail(keyMACs, status(503))
	if _, err := s.Read(t.Context(), stranger); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no telling whether it is listed: %v", err)
	}
}

// TestPropagation walks a new interface through what #90, #153 and #38 of amazon-ec2-net-utils saw: MAC
// missing, keys 404, device-number 0, network card late, addresses later still.
func TestPropagation(t *testing.T) {
	f := newFake(t, "full")
	whole := f.values
	f.values = load(t, "full")
	f.change(func(v map[string]string) {
		for k := range v {
			if strings.HasPrefix(k, second("")) {
				delete(v, k)
			}
		}
	})
	s := f.client(t)
	steps := []struct {
		keys  map[string]string
		want  error
		n     int
		addrs Status
	}{
		{nil, ErrUnknownMAC, 0, 0},
		{map[string]string{"mac": secondMAC.String()}, ErrNotReady, 0, 0},
		{map[string]string{keyDevice: ""}, ErrNotReady, 0, 0},
		{map[string]string{keyDevice: "0"}, ErrNotReady, 0, 0},
		{map[string]string{keyCard: "0", keyAddrs4: "10.0.2.37"}, ErrNotReady, 0, 0},
		{map[string]string{keyDevice: "2"}, nil, 2, Present},
		{map[string]string{keyCard: "1"}, nil, 102, Present},
		{map[string]string{keyDevice: "0", keyCard: "0"}, nil, 102, Present}, // known for good by now
	}
	for i, step := range steps {
		f.change(func(v map[string]string) {
			for name, value := range step.keys {
				v[second(name)] = value
			}
		})
		got, err := s.Read(t.Context(), secondMAC)
		if !errors.Is(err, step.want) || got.N() != step.n || got.Addrs4.Status != step.addrs {
			t.Errorf("step %d: %v, %v; want number %d, %v", i, got, err, step.n, step.want)
		}
	}
	f.change(func(v map[string]string) { clear(v) })
	s.forget(secondMAC)
	if _, err := s.Read(t.Context(), secondMAC); !errors.Is(err, ErrNotReady) {
		t.Errorf("no interface at all is listed: %v", err)
	}
	f.change(func(v map[string]string) {
		for k, value := range whole {
			v[k] = value
		}
	})
	if got, err := s.Read(t.Context(), secondMAC); err != nil || got.N() != 102 {
		t.Errorf("in the end: %v, %v", got, err)
	}
}

// TestLateNumberIsCheap: an interface that the cloud has not numbered yet is asked about every second, for the
// listing and its number alone; with the number, the same reading brings all the rest.
func TestLateNumberIsCheap(t *testing.T) {
	f := newFake(t, "full")
	f.change(func(v map[string]string) { v[second(keyDevice)], v[second(keyCard)] = "0", "0" })
	s := f.client(t)
	ask := func(atMost int, want error) Interface {
		t.Helper()
		before := s.Requests()
		got, err := s.Read(t.Context(), secondMAC)
		if n := s.Requests() - before; n > atMost || !errors.Is(err, want) {
			t.Errorf("%d requests, want at most %d; %v", n, atMost, err)
		}
		return got
	}
	ask(12, ErrNotReady) // with the token and the first interface's MAC
	for range 3 {
		ask(3, ErrNotReady)
	}
	f.change(func(v map[string]string) { v[second(keyDevice)], v[second(keyCard)] = "2", "1" })
	got := ask(10, nil)
	if whole, err := f.client(t).Read(t.Context(), secondMAC); err != nil || !Same(got, whole) || got.ID != whole.ID || got.N() != whole.N() {
		t.Errorf("%+v, %v; a client that came later reads %+v", got, err, whole)
	}
	ask(6, nil) // as cheap as ever
}

// TestPartialListing: a listing that lost device-number has likely lost more, and is no statement
// that there are no addresses.
func TestPartialListing(t *testing.T) {
	f := newFake(t, "plain")
	s := f.client(t)
	if _, err := s.Read(t.Context(), secondMAC); err != nil {
		t.Fatal(err)
	}
	for _, listing := range []string{"mac", "mac\ninterface-id", "OK"} {
		f.fail(second(""), body(listing))
		if got, err := s.Read(t.Context(), secondMAC); !errors.Is(err, ErrNotReady) {
			t.Errorf("%q: %v, %v", listing, got, err)
		}
	}
}

// TestDeviceZeroIsNeverFinal: device 0 on network card 3 is valid, and may still be an interface whose
// number is to come.
func TestDeviceZeroIsNeverFinal(t *testing.T) {
	f := newFake(t, "efa-only")
	s := f.client(t)
	for device, want := range []int{300, 301} {
		f.change(func(v map[string]string) { v[second(keyDevice)] = fmt.Sprint(device) })
		if got, err := s.Read(t.Context(), secondMAC); err != nil || got.N() != want {
			t.Errorf("device %d: %v, %v", device, got, err)
		}
	}
}

// TestBackWithAnotherNumber: the ENI was detached and attached as another device.
func TestBackWithAnotherNumber(t *testing.T) {
	f := newFake(t, "plain")
	s := f.client(t)
	read := func() (int, error) {
		got, err := s.Read(t.Context(), secondMAC)
		return got.N(), err
	}
	if n, err := read(); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	gone := map[string]string{}
	f.change(func(v map[string]string) {
		for k, value := range v {
			if strings.HasPrefix(k, second("")) {
				gone[k] = value
				delete(v, k)
			}
		}
	})
	if _, err := read(); !errors.Is(err, ErrUnknownMAC) {
		t.Errorf("detached: %v", err)
	}
	gone[second(keyDevice)] = "5"
	f.change(func(v map[string]string) {
		for k, value := range gone {
			v[k] = value
		}
	})
	if n, err := read(); n != 5 || err != nil {
		t.Errorf("back: %d, %v", n, err)
	}
}

func TestNetworkCardKeptWhenUnavailable(t *testing.T) {
	f := newFake(t, "full")
	f.change(func(v map[string]string) { v[second(keyCard)] = "0" })
	s := f.client(t)
	if got, err := s.Read(t.Context(), secondMAC); err != nil || got.N() != 2 {
		t.Fatal(got, err)
	}
	f.fail(second(keyCard), status(500))
	got, err := s.Read(t.Context(), secondMAC)
	if err != nil || got.N() != 2 || len(got.Problems) != 1 {
		t.Errorf("a number once read, then 500: %v, %v", got, err)
	}
}
