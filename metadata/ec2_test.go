package metadata

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func addrs(s ...string) Answer[[]netip.Addr] {
	var v []netip.Addr
	for _, a := range s {
		v = append(v, netip.MustParseAddr(a))
	}
	return Is(v)
}

func prefixes(s ...string) Answer[[]netip.Prefix] {
	var v []netip.Prefix
	for _, p := range s {
		v = append(v, netip.MustParsePrefix(p))
	}
	return Is(v)
}

// bare is a second card of which nothing is known but that it has nothing.
func bare() Interface {
	return Interface{MAC: secondMAC, ID: "eni-0a1b2c3d4e5f60002", DeviceNumber: 1,
		Addrs4: None[[]netip.Addr](), Addrs6: None[[]netip.Addr](),
		Subnets4: None[[]netip.Prefix](), Subnets6: None[[]netip.Prefix](),
		Prefixes4: None[[]netip.Prefix](), Prefixes6: None[[]netip.Prefix]()}
}

func with(change func(*Interface)) Interface {
	i := bare()
	change(&i)
	return i
}

// fixtures says what each folder of testdata is read as, with how many problems, how many requests
// a first reading of the second card takes, the token included, and how many a repeated one.
var fixtures = []struct {
	name         string
	want         Interface
	problems     int
	first, again int
}{
	{"plain", with(func(i *Interface) {
		i.Addrs4, i.Subnets4 = addrs("10.0.2.37"), prefixes("10.0.2.0/24")
	}), 0, 7, 2},
	{"full", with(func(i *Interface) {
		i.NetworkCard, i.DeviceNumber = 1, 2
		i.Addrs4, i.Subnets4 = addrs("10.0.2.37", "10.0.2.5", "10.0.2.200"), prefixes("10.0.2.0/24")
		i.Addrs6, i.Subnets6 = addrs("2001:db8:1:2::37", "2001:db8:1:2::5"), prefixes("2001:db8:1:2::/64")
		i.Prefixes4, i.Prefixes6 = prefixes("10.0.2.64/28", "10.0.2.96/28"), prefixes("2001:db8:1:2:a::/80")
	}), 0, 12, 6},
	{"ipv6-only", with(func(i *Interface) {
		i.Addrs6, i.Subnets6 = addrs("2001:db8:1:2::37"), prefixes("2001:db8:1:2::/64")
	}), 0, 7, 3},
	{"efa-only", with(func(i *Interface) { i.NetworkCard = 3 }), 0, 6, 1},
	{"wild", with(func(i *Interface) {
		i.Addrs4, i.Subnets4 = addrs("10.0.2.37", "10.0.2.5", "10.0.2.6"), prefixes("10.0.2.0/24")
		i.Addrs6, i.Subnets6 = addrs("2001:db8:1:2::37"), prefixes("2001:db8:1:2::/64", "2001:db8:1:3::/64")
		i.Prefixes6 = prefixes("2001:db8:1:2:a::/80")
	}), 9 + 1 + 6 + 2, 12, 7},
	{"hundred", with(func(i *Interface) {
		var all []string
		for n := 200; n > 100; n-- {
			all = append(all, fmt.Sprintf("10.0.255.%d", n))
		}
		i.Addrs4, i.Subnets4 = addrs(all...), prefixes("10.0.0.0/15")
	}), 0, 7, 2},
}

func TestFixtures(t *testing.T) {
	for _, tt := range fixtures {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, tt.name)
			s := f.client(t, 0)
			for n, want := range []int{tt.first, tt.first + tt.again, tt.first + 2*tt.again} {
				got, err := s.Read(t.Context(), secondMAC)
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 && len(got.Problems) != tt.problems {
					t.Errorf("%d problems, want %d: %v", len(got.Problems), tt.problems, got.Problems)
				}
				if got.Problems = nil; !reflect.DeepEqual(got, tt.want) {
					t.Errorf("reading %d:\n got %v\nwant %v", n, got, tt.want)
				}
				if s.Requests() != want {
					t.Errorf("%d requests after reading %d, want %d: %v", s.Requests(), n, want, f.hits)
				}
			}
		})
	}
}

func TestPrimary(t *testing.T) {
	f := newFake(t, "plain")
	s := f.client(t, 0)
	for range 2 {
		got, err := s.Read(t.Context(), primaryMAC)
		if err != nil || !got.Primary || got.N() != 0 || got.Addrs4.Value[0] != netip.MustParseAddr("10.0.1.10") {
			t.Errorf("got %v, %v", got, err)
		}
	}
	if s.Requests() != 9 {
		t.Errorf("%d requests, want 9 (7 + 2): %v", s.Requests(), f.hits)
	}
}

func TestCards(t *testing.T) {
	f := newFake(t, "plain")
	s := f.client(t, 0)
	for range 2 {
		first, all, err := s.Cards(t.Context())
		if err != nil || first != primaryMAC || !reflect.DeepEqual(all, []MAC{primaryMAC, secondMAC}) {
			t.Errorf("got %v, %v, %v", first, all, err)
		}
	}
	if s.Requests() != 4 {
		t.Errorf("%d requests, want 4 (token, 2 lists, mac): %v", s.Requests(), f.hits)
	}
}

func TestCardsErrors(t *testing.T) {
	for _, tt := range []struct {
		key  string
		do   http.HandlerFunc
		want error
	}{
		{keyMACs, status(404), ErrNotReady}, // there is always a first card: not "no cards"
		{keyMACs, body(""), ErrNotReady},
		{keyMACs, body("<html>"), ErrUnavailable},
		{keyMACs, body("02:00:00:00:00:01/\nnot-a-mac/"), ErrUnavailable},
		{keyMACs, body("01:00:5e:00:00:01/"), ErrUnavailable},
		{keyMACs, status(503), ErrUnavailable},
		{keyFirst, status(404), ErrNotReady},
		{keyFirst, body("00:00:00:00:00:00"), ErrUnavailable},
		{keyFirst, status(403), ErrDisabled},
	} {
		f := newFake(t, "plain")
		f.fail(tt.key, tt.do)
		if first, all, err := f.client(t, 0).Cards(t.Context()); !errors.Is(err, tt.want) || all != nil || first != (MAC{}) {
			t.Errorf("%s: %v, %v, %v; want %v", tt.key, first, all, err, tt.want)
		}
	}
}

func TestUnknownMACAndNotReady(t *testing.T) {
	stranger := MAC{2, 0, 0, 0, 0, 9}
	f := newFake(t, "plain")
	s := f.client(t, 0)
	if _, err := s.Read(t.Context(), stranger); !errors.Is(err, ErrUnknownMAC) {
		t.Errorf("a MAC that is not listed: %v", err)
	}
	dir := cardKey(stranger, "")
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

// TestPropagation walks a new card through what #90, #153 and #38 of amazon-ec2-net-utils saw: MAC
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
	s := f.client(t, 0)
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
	s.Forget(secondMAC)
	if _, err := s.Read(t.Context(), secondMAC); !errors.Is(err, ErrNotReady) {
		t.Errorf("no card at all is listed: %v", err)
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

// TestBackWithAnotherNumber: the ENI was detached and attached as another device.
func TestBackWithAnotherNumber(t *testing.T) {
	f := newFake(t, "plain")
	s := f.client(t, 0)
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
	s := f.client(t, 0)
	if got, err := s.Read(t.Context(), secondMAC); err != nil || got.N() != 2 {
		t.Fatal(got, err)
	}
	f.fail(second(keyCard), status(500))
	got, err := s.Read(t.Context(), secondMAC)
	if err != nil || got.N() != 2 || len(got.Problems) != 1 {
		t.Errorf("a number once read, then 500: %v, %v", got, err)
	}
}

func TestTokenRenewed(t *testing.T) {
	f := newFake(t, "plain")
	s := f.client(t, 0)
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
		s := f.client(t, 0)
		_, err := s.Read(t.Context(), secondMAC)
		s.Read(t.Context(), secondMAC)
		if n := f.asked(keyToken); tt.tokens == 0 && !errors.Is(err, ErrUnavailable) || tt.tokens > 0 && (n != tt.tokens || err != nil) {
			t.Errorf("life %q: %d tokens, %v", tt.ttl, n, err)
		}
	}
}

func TestFalseToken(t *testing.T) {
	for _, tok := range []string{"", " ", "<html>", "two words", "line\nline", "a\x00b", "pässword", strings.Repeat("a", 1025), strings.Repeat("a", 1<<20)} {
		f := newFake(t, "plain")
		f.token = tok
		_, err := f.client(t, 0).Read(t.Context(), secondMAC)
		if !errors.Is(err, ErrUnavailable) || len(tok) > 3 && strings.Contains(err.Error(), tok) {
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
		s := f.client(t, 0)
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

func TestErrorSaysWhatAndHow(t *testing.T) {
	f := newFake(t, "plain")
	f.fail(second(""), throttle)
	_, err := f.client(t, 0).Read(t.Context(), secondMAC)
	var e *Error
	if !errors.As(err, &e) || e.Key != second("") || e.Status != 429 || e.RetryAfter != 7*time.Second {
		t.Errorf("got %#v", e)
	}
	want := "read card 02:00:00:00:00:02: ask metadata for network/interfaces/macs/02:00:00:00:00:02/: metadata unavailable (status 429)"
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if d := Backoff(0, err, 0); d != 7*time.Second {
		t.Errorf("back-off %s", d)
	}
	f.fail(keyToken, throttle)
	if _, err = f.client(t, 0).Read(t.Context(), secondMAC); !errors.As(err, &e) || e.Key != keyToken || e.RetryAfter != 7*time.Second {
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
		_, err := f.client(t, time.Minute).Read(ctx, secondMAC)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnavailable) || time.Since(begin) > 10*time.Second {
			t.Errorf("%s: %v after %s", key, err, time.Since(begin))
		}
	}
}

// TestOwnTimeoutIsNotTheCallers: errors.Is must tell a caller's deadline from ours.
func TestOwnTimeoutIsNotTheCallers(t *testing.T) {
	f := newFake(t, "plain")
	f.fail(second(""), func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	_, err := f.client(t, 50*time.Millisecond).Read(t.Context(), secondMAC)
	if !errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "within 50ms") {
		t.Errorf("got %v", err)
	}
}

// TestFewConnections reads 15 cards at once; the server counts connections and tokens.
func TestFewConnections(t *testing.T) {
	f := newFake(t, "plain")
	f.change(func(v map[string]string) {
		for i := range 15 {
			m := MAC{2, 0, 0, 0, 1, byte(i)}
			v[cardKey(m, keyDevice)], v[cardKey(m, keyAddrs4)] = fmt.Sprint(i+1), "10.0.2.37"
		}
	})
	s := f.client(t, 20*time.Second)
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
		t.Errorf("%d tokens for 15 cards", n)
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
	s := f.client(t, 100*time.Millisecond)
	before := runtime.NumGoroutine()
	for _, ft := range append(quickFaults(), slowFaults()...) {
		f.fail(second(keyAddrs4), ft.do)
		s.Read(t.Context(), secondMAC)
	}
	s.Close()
	f.CloseClientConnections()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestEnvironment(t *testing.T) {
	f := newFake(t, "plain")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv(endpointVar, f.URL+"/")
	if _, err := newClientAt(t, EC2Options{}).Read(t.Context(), secondMAC); err != nil {
		t.Error(err)
	}
	t.Setenv(endpointVar, "http://metadata.example")
	if _, err := NewEC2(EC2Options{}); err == nil {
		t.Error("a name as endpoint was taken")
	}
}

func TestOnLoopback6(t *testing.T) {
	f := newFakeOn(t, "full", "[::1]:0")
	if got, err := f.client(t, 0).Read(t.Context(), secondMAC); err != nil || got.N() != 102 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestOptions(t *testing.T) {
	for url, want := range map[string]string{
		"http://169.254.169.254":              "http://169.254.169.254",
		"http://169.254.169.254/":             "http://169.254.169.254",
		"http://127.0.0.1:8080":               "http://127.0.0.1:8080",
		"http://[fd00:ec2::254]":              "http://[fd00:ec2::254]",
		"http://[fd00:ec2::254]:80":           "http://[fd00:ec2::254]",
		"http://[::1]:8080/":                  "http://[::1]:8080",
		"https://169.254.169.254":             "",
		"169.254.169.254":                     "",
		"http://":                             "",
		"http://localhost":                    "",
		"http://localhost:80":                 "",
		"http://metadata.internal":            "",
		"http://1.2.3.4:99999":                "",
		"http://1.2.3.4:0":                    "",
		"http://1.2.3.4:":                     "",
		"http://1.2.3.4:http":                 "",
		"http://0x7f000001":                   "",
		"http://2130706433":                   "",
		"http://0.0.0.0":                      "",
		"http://[::]:80":                      "",
		"http://224.0.0.1":                    "",
		"http://::1":                          "",
		"http://[::1":                         "",
		"http://[127.0.0.1]":                  "",
		"http://[fe80::1%25eth0]":             "",
		"http://[fe80::1%eth0]:80":            "",
		"http://[::ffff:169.254.0.1]":         "",
		"http://user:pw@1.2.3.4":              "",
		"http://1.2.3.4/latest":               "",
		"http://1.2.3.4?x":                    "",
		"http://1.2.3.4#x":                    "",
		"http://1.2.3.4\r\nX: y":              "",
		"http://1.2.3.4 ":                     "",
		"file:///etc/passwd":                  "",
		"http://" + strings.Repeat("1", 5000): "",
	} {
		got, err := parseEndpoint(url)
		if err == nil && got != want || (err == nil) != (want != "") {
			t.Errorf("%.40q: %q, %v; want %q", url, got, err, want)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%.40q: an error of %d characters", url, len(err.Error()))
		}
	}
	for _, o := range []EC2Options{
		{Interface: "a-name-that-is-too-long"}, {Interface: "../eth0"}, {Interface: "eth 0"}, {Timeout: -1},
	} {
		if _, err := NewEC2(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
