package lab

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
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
	c.imds.tokens[a.token] = time.Now().Add(-time.Millisecond)
	c.imds.mu.Unlock()
	a.get(401, "mac")
}

func TestTree(t *testing.T) {
	eth1 := Eth1()
	eth1.MAC = [6]byte{2, 0, 0, 0, 0, 1}
	eth1.ID = "eni-0123456789abcdef0"
	eth1.Addrs4 = append(eth1.Addrs4, netip.MustParseAddr("10.0.2.99"))
	eth1.Addrs6 = []netip.Addr{netip.MustParseAddr("2001:db8:ec2:2::37"), netip.MustParseAddr("2001:db8:ec2:2::38")}
	eth1.Prefixes4 = []netip.Prefix{netip.MustParsePrefix("10.0.2.128/28")}
	eth1.Prefixes6 = []netip.Prefix{netip.MustParsePrefix("2001:db8:ec2:2:1::/80")}
	c := newCloud(t, Config{Cards: []Card{Eth0(), eth1}, Instance: Identity{Tags: map[string]string{"Name": "web"}}})
	a := ask(t, c.Instance()).session()
	const dir = "network/interfaces/macs/02:00:00:00:00:01"
	for key, want := range map[string]string{
		"":                            "",
		"mac":                         "02:ec:20:00:00:00",
		"instance-id":                 "i-0ec2ec2ec2ec2ec20",
		"tags/instance/Name":          "web",
		"network/":                    "interfaces/",
		"network":                     "interfaces/",
		"network/interfaces/macs/":    "02:00:00:00:00:01/\n02:ec:20:00:00:00/",
		dir + "/device-number":        "1",
		dir + "/interface-id":         "eni-0123456789abcdef0",
		dir + "/mac":                  "02:00:00:00:00:01",
		dir + "/local-ipv4s":          "10.0.2.37\n10.0.2.99",
		dir + "/local-hostname":       "ip-10-0-2-37.eu-north-1.compute.internal",
		dir + "/ipv6s":                "2001:db8:ec2:2::37\n2001:db8:ec2:2::38",
		dir + "/ipv4-prefix":          "10.0.2.128/28",
		dir + "/ipv6-prefix":          "2001:db8:ec2:2:1::/80",
		dir + "/ipv4-associations/":   EIP2.String(),
		dir + "/ipv4-associations":    EIP2.String(),
		dir + "/subnet-id":            "subnet-c",
		dir + "/vpc-ipv4-cidr-block":  "10.0.0.0/16",
		dir + "/vpc-ipv4-cidr-blocks": "10.0.0.0/16",
		dir + "/vpc-ipv6-cidr-blocks": "2001:db8:ec2::/56",
		dir + "/owner-id":             "123456789012",
		dir + "/security-groups":      "default",
		dir + "/security-group-ids":   "sg-0ec2ec2ec2ec2ec20",
		dir + "/public-ipv4s":         EIP2.String(),

		dir + "/ipv4-associations/" + EIP2.String(): "10.0.2.37",
		dir + "/subnet-ipv4-cidr-block":             "10.0.2.0/24",
		dir + "/subnet-ipv6-cidr-blocks":            "2001:db8:ec2:2::/64",
	} {
		if got := a.get(200, key); want != "" && got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	for _, key := range []string{"nothing", "mac/", "network/interfaces/macs/02:00:00:00:00:02/", dir + "/network-card-index", "macs"} {
		a.get(404, key)
	}
}

// Everything that is listed is there, and everything that is a directory ends in a slash.
func TestTreeWalk(t *testing.T) {
	c := newCloud(t, Config{})
	a := ask(t, c.Instance()).session()
	leaves := 0
	var walk func(dir string)
	walk = func(dir string) {
		for _, entry := range strings.Split(a.get(200, dir), "\n") {
			if strings.HasSuffix(entry, "/") {
				walk(dir + entry)
				continue
			}
			leaves++
			if v := a.get(200, dir+entry); v == "" {
				t.Errorf("%s%s is empty", dir, entry)
			}
		}
	}
	walk("")
	if leaves < 40 {
		t.Errorf("%d leaves, want 40 and more", leaves)
	}
	if n := c.IMDS().Stats().Connections; n != 1 {
		t.Errorf("%d connections for one client, want 1", n)
	}
}

// Keys without a value are absent from the listing too; the network card's index is there when one of several.
func TestTreeAbsent(t *testing.T) {
	eth1 := Eth1()
	eth1.EIPs, eth1.NetworkCard, eth1.MAC = nil, 1, [6]byte{2, 0, 0, 0, 0, 1}
	c := newCloud(t, Config{Cards: []Card{Eth0(), eth1}})
	a := ask(t, c.Instance()).session()
	keys := strings.Split(a.get(200, "network/interfaces/macs/02:00:00:00:00:01/"), "\n")
	for _, key := range []string{"ipv6s", "ipv4-prefix", "ipv6-prefix", "ipv4-associations/", "public-ipv4s"} {
		if slices.Contains(keys, key) {
			t.Errorf("%s is listed", key)
		}
	}
	if a.get(200, "network/interfaces/macs/02:00:00:00:00:01/network-card-index") != "1" ||
		a.get(200, "network/interfaces/macs/02:ec:20:00:00:00/network-card-index") != "0" {
		t.Error("the indices of the network cards are wrong")
	}
}

// The metadata follows what is done to the cards.
func TestTreeFollows(t *testing.T) {
	c := newCloud(t, Config{})
	a := ask(t, c.Instance()).session()
	k, err := c.Card("eth1")
	must(t, err)
	dir := "network/interfaces/macs/" + k.MAC.String()
	second, eip := netip.MustParseAddr("10.0.2.50"), netip.MustParseAddr("203.0.113.5")
	must(t, c.Assign("eth1", second))
	must(t, c.AssociateEIP(second, eip))
	if got := a.get(200, dir+"/local-ipv4s"); got != "10.0.2.37\n10.0.2.50" {
		t.Errorf("after Assign: %q", got)
	}
	if got := a.get(200, dir+"/ipv4-associations/203.0.113.5"); got != "10.0.2.50" {
		t.Errorf("after AssociateEIP: %q", got)
	}
	must(t, c.Release("eth1", second))
	if got := a.get(200, dir+"/local-ipv4s"); got != "10.0.2.37" {
		t.Errorf("after Release: %q", got)
	}
	a.get(404, dir+"/ipv4-associations/203.0.113.5")
	must(t, c.Detach("eth1"))
	a.get(404, dir+"/")
}

// Each instance sees itself, and IPv6 works.
func TestTreeOfPeerAndIPv6(t *testing.T) {
	eth0 := Eth0()
	eth0.Addrs6 = []netip.Addr{netip.MustParseAddr("2001:db8:ec2::29")}
	c := newCloud(t, Config{Cards: []Card{eth0}})
	peer, err := c.AddPeer("db", netip.MustParseAddr("10.0.2.80"))
	must(t, err)
	if id := ask(t, peer).session().get(200, "local-ipv4"); id != "10.0.2.80" {
		t.Errorf("the peer is told of %s", id)
	}
	a := ask(t, c.Instance())
	a.base = "http://[fd00:ec2::254]"
	if got := a.session().get(200, "ipv6"); got != "2001:db8:ec2::29" {
		t.Errorf("over IPv6: %s", got)
	}
	last := c.IMDS().Requests(time.Time{})
	if r := last[len(last)-1]; r.Source.Addr() != eth0.Addrs6[0] || r.Card != "eth0" || !r.Token || r.Status != 200 {
		t.Errorf("recorded %+v", r)
	}
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

// How long the metadata server takes for one key, on an instance with 15 cards of 50 addresses each.
func BenchmarkIMDS(b *testing.B) {
	cfg := Config{Cards: []Card{Eth0()}}
	next := netip.MustParseAddr("10.0.4.4")
	cfg.Subnets = append(Config{}.withDefaults().Subnets, Subnet{ID: "wide", CIDR: netip.MustParsePrefix("10.0.4.0/22")})
	for range 14 {
		k := Card{Subnet: "wide"}
		for range 50 {
			k.Addrs4, next = append(k.Addrs4, next), next.Next()
		}
		cfg.Cards = append(cfg.Cards, k)
	}
	c := newCloud(b, cfg)
	a := ask(b, c.Instance()).session()
	for b.Loop() {
		a.get(200, "mac")
	}
}
