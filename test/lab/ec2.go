package lab

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

func ec2Habits() habits {
	return habits{
		metadata: []netip.Addr{imds4, netip.MustParseAddr("fd00:ec2::254")}, service: newEC2Service,
		plan: planEC2, leased: leasedByGateway,
		gateway6: same(Gateway6),
		mtu:      9001, vendor: [3]byte{0x02, 0xec, 0x20}, id: "eni-0ec2",
		machine: ec2Machine,
	}
}

// ec2Machine is the machine of seed 002, and an IPv6 block beside its network's.
func ec2Machine() Config {
	return Config{
		VPC: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("2001:db8:ec2::/56")},
		Subnets: []Subnet{
			{ID: "subnet-a", CIDR: netip.MustParsePrefix("10.0.0.0/24"), IPv6: netip.MustParsePrefix("2001:db8:ec2:0::/64")},
			{ID: "subnet-c", CIDR: netip.MustParsePrefix("10.0.2.0/24"), IPv6: netip.MustParsePrefix("2001:db8:ec2:2::/64")},
		},
		Interfaces: []Interface{Eth0(), Eth1()},
	}
}

// leasedByGateway routes everything by the subnet's gateway.
func leasedByGateway(k *iface) []StaticRoute {
	return []StaticRoute{{world4, k.subnet.Gateway4()}}
}

// ec2Service is EC2's metadata service, version 2 only: a tree, and tokens.
type ec2Service struct {
	server  *IMDS
	tokens  map[string]time.Time // when each ends
	trees   map[*Node]tree
	treesAt uint64 // Cloud.changes that the trees are of
}

func newEC2Service(s *IMDS) service {
	return &ec2Service{server: s, tokens: map[string]time.Time{}, trees: map[*Node]tree{}}
}

func (s *ec2Service) answer(q *question) reply {
	key := q.key
	switch {
	case q.Method == http.MethodPut && key == "api/token":
		return s.issue(q.Request)
	case q.Method != http.MethodGet && q.Method != http.MethodHead:
		return failure(http.StatusMethodNotAllowed)
	}
	if end, ok := s.tokens[q.Header.Get(tokenHeader)]; !ok || q.asked.Time.After(end) {
		return failure(http.StatusUnauthorized)
	}
	q.asked.Token = true
	if !q.known {
		return failure(http.StatusNotFound)
	}
	if key == "" {
		return reply{status: http.StatusOK, body: "dynamic\nmeta-data\nuser-data"}
	}
	t := shape(s.server.faults, s.treeOf(q.node), q.Method, key, q.via, q.asked.Time)
	if strings.HasSuffix(q.URL.Path, "/") {
		key += "/"
	}
	body, ok := t.at(key)
	if !ok {
		return failure(http.StatusNotFound)
	}
	return reply{status: http.StatusOK, body: body}
}

const (
	tokenHeader = "X-Aws-Ec2-Metadata-Token"
	ttlHeader   = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	maxTTL      = 21600 // seconds
)

// issue makes a session token.
func (s *ec2Service) issue(r *http.Request) reply {
	ttl, err := strconv.Atoi(r.Header.Get(ttlHeader))
	switch {
	case r.Header.Get("X-Forwarded-For") != "":
		return failure(http.StatusForbidden)
	case err != nil || ttl < 1 || ttl > maxTTL:
		return failure(http.StatusBadRequest)
	}
	now := time.Now()
	for t, end := range s.tokens {
		if now.After(end) {
			delete(s.tokens, t)
		}
	}
	token := "AQAEA" + rand.Text() + rand.Text() + "=="
	s.tokens[token] = now.Add(time.Duration(ttl) * time.Second)
	return reply{status: http.StatusOK, body: token, header: [][2]string{{ttlHeader, strconv.Itoa(ttl)}}}
}

// ExpireTokens makes every token that was given out invalid.
func (s *IMDS) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ec2, ok := s.service.(*ec2Service); ok {
		clear(ec2.tokens)
	}
}

// key takes what lies below the version.
func (s *ec2Service) key(p string) (key string, known bool) {
	parts := strings.FieldsFunc(p, func(r rune) bool { return r == '/' })
	if len(parts) == 0 || (parts[0] != "latest" && !isVersion(parts[0])) {
		return "", false
	}
	return strings.Join(parts[1:], "/"), true
}

// isVersion recognises the dated versions, such as 2021-07-15.
func isVersion(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

// treeOf is what a host sees. It is made again when something was done to an interface. The caller holds the lock.
func (s *ec2Service) treeOf(n *Node) tree {
	c := s.server.cloud
	c.mu.RLock()
	defer c.mu.RUnlock()
	if s.treesAt != c.changes {
		clear(s.trees)
		s.treesAt = c.changes
	}
	if t, ok := s.trees[n]; ok {
		return t
	}
	var ifaces []*iface
	for _, k := range c.ifaces {
		if k.node == n && !k.hidden {
			ifaces = append(ifaces, k)
		}
	}
	s.trees[n] = instanceTree(c.identity(n), c.cfg.VPC, ifaces)
	return s.trees[n]
}

// page is EC2's page for a status.
func (s *ec2Service) page(status int) reply { return failure(status) }

func (s *ec2Service) suits(f Fault) error {
	if f.JSON != nil || f.Reverse {
		return errors.New("json and reverse are for a document; EC2's metadata are a tree")
	}
	return nil
}

// aim makes the path that of the interface's directory.
func (s *ec2Service) aim(f *Fault, k Interface) {
	f.Path = macsDir + "/" + k.MAC.String() + "/" + strings.TrimPrefix(f.Path, "/")
}
