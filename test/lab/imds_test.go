package lab

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// asker is an HTTP client on a host that asks the metadata server.
type asker struct {
	t     testing.TB
	http  *http.Client
	base  string
	token string
}

func ask(t testing.TB, n *Node) *asker {
	t.Helper()
	a := &asker{t: t, base: "http://169.254.169.254", http: &http.Client{
		Transport:     &http.Transport{DialContext: n.Dial},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	t.Cleanup(a.http.CloseIdleConnections)
	return a
}

func (a *asker) do(method, path string, header ...string) (int, http.Header, string, error) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(within(a.t), method, a.base+path, nil)
	must(a.t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := a.http.Do(r)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 20<<20))
	return resp.StatusCode, resp.Header, string(b), err
}

// session gets a token.
func (a *asker) session() *asker {
	a.t.Helper()
	status, _, body, err := a.do("PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60")
	if err != nil || status != 200 {
		a.t.Fatalf("token: %d %v", status, err)
	}
	a.token = body
	return a
}

// get asks for a key below meta-data, and wants a status.
func (a *asker) get(want int, key string) string {
	a.t.Helper()
	status, _, body, err := a.do("GET", "/latest/meta-data/"+key, "X-aws-ec2-metadata-token", a.token)
	if err != nil || status != want {
		a.t.Fatalf("%s: %d %v, want %d", key, status, err, want)
	}
	return body
}

func TestToken(t *testing.T) {
	c := newCloud(t, Config{})
	a := ask(t, c.Instance())
	const ttl = "X-aws-ec2-metadata-token-ttl-seconds"
	for _, test := range []struct {
		name, method, path string
		header             []string
		want               int
	}{
		{"no TTL", "PUT", "/latest/api/token", nil, 400},
		{"TTL 0", "PUT", "/latest/api/token", []string{ttl, "0"}, 400},
		{"TTL too long", "PUT", "/latest/api/token", []string{ttl, "21601"}, 400},
		{"TTL no number", "PUT", "/latest/api/token", []string{ttl, "1h"}, 400},
		{"forwarded", "PUT", "/latest/api/token", []string{ttl, "60", "X-Forwarded-For", "1.2.3.4"}, 403},
		{"good", "PUT", "/latest/api/token", []string{ttl, "21600"}, 200},
		{"PUT elsewhere", "PUT", "/latest/meta-data/", []string{ttl, "60"}, 405},
		{"POST", "POST", "/latest/api/token", []string{ttl, "60"}, 405},
		{"no token", "GET", "/latest/meta-data/", nil, 401},
		{"wrong token", "GET", "/latest/meta-data/mac", []string{"X-aws-ec2-metadata-token", "nonsense"}, 401},
	} {
		status, header, _, err := a.do(test.method, test.path, test.header...)
		if err != nil || status != test.want {
			t.Errorf("%s: %d %v, want %d", test.name, status, err, test.want)
		}
		if status == 200 && header.Get(ttl) != "21600" {
			t.Errorf("%s: TTL header %q", test.name, header.Get(ttl))
		}
	}
	a.session().get(200, "mac")
	c.IMDS().ExpireTokens()
	a.get(401, "mac")
	if _, _, _, err := a.do("PUT", "/latest/api/token", ttl, "1"); err != nil {
		t.Error(err)
	}
}

// A token ends by itself.
func TestTokenEnds(t *testing.T) {
	c := newCloud(t, Config{})
	a := ask(t, c.Instance()).session()
	c.imds.mu.Lock()
	c.imds.service.(*ec2Service).tokens[a.token] = time.Now().Add(-time.Millisecond)
	c.imds.mu.Unlock()
	a.get(401, "mac")
}

// refuse, silence and back.
func TestRefuseAndSilence(t *testing.T) {
	c := newCloud(t, Config{})
	a := ask(t, c.Instance()).session()
	must(t, c.IMDS().Refuse())
	if _, _, _, err := a.do("GET", "/latest/"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("refused: %v", err)
	}
	must(t, c.IMDS().Resume())
	a.get(200, "mac")
	a.http.CloseIdleConnections()
	must(t, c.IMDS().Silence())
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if conn, err := c.Instance().Dial(ctx, "tcp", "169.254.169.254:80"); err == nil {
		conn.Close()
		t.Error("silent, but it answers")
	}
	must(t, c.IMDS().Silence()) // twice is once
	must(t, c.IMDS().Resume())
	must(t, c.IMDS().Resume())
	a.get(200, "mac")
}

func TestStats(t *testing.T) {
	c := newCloud(t, Config{})
	start := time.Now()
	a := ask(t, c.Instance()).session()
	a.get(200, "mac")
	a.get(200, "mac")
	a.get(404, "nothing")
	s := c.IMDS().Stats()
	if s.Requests != 4 || s.Tokens != 1 || s.Connections != 1 || s.ByPath["/latest/meta-data/mac"] != 2 || s.ByStatus[404] != 1 {
		t.Errorf("%+v", s)
	}
	sum := 0
	for _, n := range s.ByMinute {
		sum += n
	}
	if sum != 4 {
		t.Errorf("by minute: %v", s.ByMinute)
	}
	go a.do("GET", "/latest/meta-data/instance-id", "X-aws-ec2-metadata-token", a.token)
	must(t, c.IMDS().Wait(within(t), start, func(rs []Request) bool { return len(rs) == 5 && rs[4].Path == "/latest/meta-data/instance-id" }))
	if got := c.IMDS().Requests(time.Now().Add(time.Hour)); len(got) != 0 {
		t.Errorf("requests of the future: %v", got)
	}
}

// How long the metadata server takes for one key, on an instance with 15 interfaces of 50 addresses each.
func BenchmarkIMDS(b *testing.B) {
	cfg := Config{Interfaces: []Interface{Eth0()}}
	next := netip.MustParseAddr("10.0.4.4")
	cfg.Subnets = append(Config{}.withDefaults().Subnets, Subnet{ID: "wide", CIDR: netip.MustParsePrefix("10.0.4.0/22")})
	for range 14 {
		k := Interface{Subnet: "wide"}
		for range 50 {
			k.Addrs4, next = append(k.Addrs4, next), next.Next()
		}
		cfg.Interfaces = append(cfg.Interfaces, k)
	}
	c := newCloud(b, cfg)
	a := ask(b, c.Instance()).session()
	for b.Loop() {
		a.get(200, "mac")
	}
}
