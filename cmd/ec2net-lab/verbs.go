package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"ec2net/test/lab"
)

// verb answers one kind of call.
type verb func(ctx context.Context, s *server, raw json.RawMessage) (any, error)

// with adapts a function with decoded arguments.
func with[A any](fn func(ctx context.Context, s *server, args A) (any, error)) verb {
	return func(ctx context.Context, s *server, raw json.RawMessage) (any, error) {
		var args A
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, fmt.Errorf("arguments: %w", err)
		}
		return fn(ctx, s, args)
	}
}

func verbs() map[string]verb {
	return map[string]verb{
		"attach":  with(attach),
		"detach":  with(func(_ context.Context, s *server, key string) (any, error) { return nil, s.cloud.Detach(key) }),
		"assign":  with(assign),
		"release": with(release),
		"move":    with(move),
		"peer":    with(peer),
		"enter":   with(enter),
		"ping":    with(ping),
		"status":  with(func(_ context.Context, s *server, _ struct{}) (any, error) { return s.report() }),
		"log":     with(func(_ context.Context, s *server, since time.Time) (any, error) { return s.log(since), nil }),
		"down":    with(func(_ context.Context, _ *server, _ struct{}) (any, error) { return os.Getpid(), nil }),
		"imds":    with(func(_ context.Context, s *server, f lab.Fault) (any, error) { return s.cloud.IMDS().Inject(f) }),
		"dhcp":    with(func(_ context.Context, s *server, f lab.DHCPFault) (any, error) { return s.cloud.DHCP().Inject(f) }),
		"squat":   with(squat),
		"reach":   with(reach),
		"vf":      with(vf),
		"forward": with(func(_ context.Context, s *server, a forwardArgs) (any, error) {
			return nil, s.cloud.Forward(a.Interface, a.On)
		}),
		"probe":  with(probe),
		"reboot": with(func(_ context.Context, s *server, _ struct{}) (any, error) { return nil, s.cloud.Reboot() }),
		"limit":  with(func(_ context.Context, s *server, n int) (any, error) { s.cloud.IMDS().Limit(n); return nil, nil }),
		"versions": with(func(_ context.Context, s *server, known []string) (any, error) {
			s.cloud.IMDS().Versions(known...)
			return nil, nil
		}),
		"udr add": with(func(_ context.Context, s *server, r lab.Route) (any, error) { return nil, s.cloud.AddRoute(r) }),
		"udr delete": with(func(_ context.Context, s *server, r lab.Route) (any, error) {
			return nil, s.cloud.DeleteRoute(r.Subnet, r.Prefix)
		}),
		"udr list": with(func(_ context.Context, s *server, _ struct{}) (any, error) { return s.cloud.Routes(), nil }),
		"faults":   with(func(_ context.Context, s *server, _ struct{}) (any, error) { return s.faults(), nil }),
		"clear":    with(clearFaults),
	}
}

// attachArgs are an interface, which may lack everything.
type attachArgs struct {
	Interface lab.Interface
	Prompt    bool // the metadata are as late as the interface says, and not as the cloud's are
}

func attach(_ context.Context, s *server, a attachArgs) (any, error) {
	k := a.Interface
	if !a.Prompt {
		k.Late = s.cloud.Provider().Late()
	}
	if len(k.Addrs4) == 0 && len(k.Addrs6) == 0 {
		if err := s.choose(&k); err != nil {
			return nil, err
		}
	}
	before := s.cloud.Interfaces()
	if err := s.cloud.Attach(k); err != nil {
		return nil, err
	}
	for _, now := range s.cloud.Interfaces() {
		if !slices.ContainsFunc(before, func(o lab.Interface) bool { return o.ID == now.ID }) {
			return now, nil
		}
	}
	return nil, errors.New("the interface was detached again at once")
}

// choose gives an interface an address: that of the second interface as the cloud was made, if it is missing, else a
// free one.
func (s *server) choose(k *lab.Interface) error {
	machine := s.cloud.Provider().Machine()
	if s.chooseMissing(k, machine.Interfaces[1]) {
		return nil
	}
	if k.Subnet == "" {
		k.Subnet = machine.Subnets[1].ID
	}
	free, err := s.cloud.FreeAddr(k.Subnet)
	k.Addrs4 = []netip.Addr{free}
	return err
}

func (s *server) chooseMissing(k *lab.Interface, second lab.Interface) bool {
	taken := slices.ContainsFunc(s.cloud.Interfaces(), func(o lab.Interface) bool {
		return o.Name == second.Name || slices.Contains(o.Addrs4, second.Addrs4[0])
	})
	if (k.Name == "" || k.Name == second.Name) && k.Subnet == "" && !taken {
		k.Name, k.Addrs4 = second.Name, second.Addrs4
		if len(k.EIPs) == 0 {
			k.EIPs = second.EIPs
		}
		return true
	}
	return false
}

// grantArgs name what is assigned to an interface or released from it.
type grantArgs struct {
	Interface string
	Addrs     []netip.Addr
	Prefixes  []netip.Prefix
	EIP       netip.Addr // for the first address
}

func assign(_ context.Context, s *server, a grantArgs) (any, error) {
	if len(a.Addrs) == 0 && len(a.Prefixes) == 0 {
		k, err := s.cloud.Interface(a.Interface)
		if err != nil {
			return nil, err
		}
		free, err := s.cloud.FreeAddr(k.Subnet)
		if err != nil {
			return nil, err
		}
		a.Addrs = []netip.Addr{free}
	}
	if err := s.cloud.Assign(a.Interface, a.Addrs...); err != nil {
		return nil, err
	}
	for _, p := range a.Prefixes {
		if err := s.cloud.AssignPrefix(a.Interface, p); err != nil {
			return nil, err
		}
	}
	if a.EIP.IsValid() {
		if len(a.Addrs) == 0 {
			return nil, errors.New("an elastic IP belongs to an address, not to a prefix")
		}
		if err := s.cloud.AssociateEIP(a.Addrs[0], a.EIP); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func release(_ context.Context, s *server, a grantArgs) (any, error) {
	for _, p := range a.Prefixes {
		if err := s.cloud.ReleasePrefix(a.Interface, p); err != nil {
			return nil, err
		}
	}
	return a, s.cloud.Release(a.Interface, a.Addrs...)
}

type moveArgs struct {
	Addr     netip.Addr
	From, To string
}

func move(_ context.Context, s *server, a moveArgs) (any, error) {
	return nil, s.cloud.Move(a.Addr, a.From, a.To)
}

type peerArgs struct {
	Name  string
	Addrs []netip.Addr
}

func peer(_ context.Context, s *server, a peerArgs) (any, error) {
	_, err := s.cloud.AddPeer(a.Name, a.Addrs...)
	return nil, err
}

// entrance is how another process enters a host.
type entrance struct {
	Net, Mount string
	User       string // empty when the lab has no user namespace of its own
}

func enter(_ context.Context, s *server, name string) (any, error) {
	n, err := s.cloud.Node(name)
	if err != nil {
		return nil, err
	}
	var e entrance
	e.Net, e.Mount = n.Namespaces()
	if os.Getenv(userEnv) != "" {
		e.User = fmt.Sprintf("/proc/%d/ns/user", os.Getpid())
	}
	return e, nil
}

type pingArgs struct {
	From    string
	To      netip.Addr
	Source  netip.Addr
	Count   int
	Timeout time.Duration
}

// pong is what came of a ping, and what the fabric dropped meanwhile.
type pong struct {
	RTT     []time.Duration // of those answered
	Problem string          // of the last that was not
	Dropped []lab.Drop
}

func ping(ctx context.Context, s *server, a pingArgs) (any, error) {
	from, err := s.cloud.Node(a.From)
	if err != nil {
		return nil, err
	}
	before, err := s.cloud.SourceCheck()
	if err != nil {
		return nil, err
	}
	var out pong
	for range a.Count {
		rtt, err := from.Ping(ctx, a.To, lab.Ping{Source: a.Source, Timeout: a.Timeout})
		if err != nil {
			out.Problem = err.Error()
			continue
		}
		out.RTT = append(out.RTT, rtt)
	}
	after, err := s.cloud.SourceCheck()
	out.Dropped = newDrops(before, after)
	return out, err
}

// newDrops is what was dropped between two readings.
func newDrops(before, after []lab.Drop) (out []lab.Drop) {
	for _, d := range after {
		for _, o := range before {
			if o.Interface == d.Interface && o.Source == d.Source {
				d.Packets -= o.Packets
			}
		}
		if d.Packets > 0 {
			out = append(out, d)
		}
	}
	return out
}
