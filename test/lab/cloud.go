package lab

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// Cloud is a VPC with one instance, its peers, and a client on the internet. All methods may be called
// at the same time.
type Cloud struct {
	cfg            Config
	fabric, client *Node
	net            *fabric
	imds           *IMDS
	dhcp           *DHCP
	dhcp6          *DHCP6

	mu       sync.RWMutex
	instance *Node
	peers    []*Node
	ifaces   []*iface // attached, in the order of attachment
	past     map[int]string
	made     int            // interfaces ever made
	routes   []Route        // the subnets' own
	vfs      int            // VFs ever made
	changes  uint64         // counts what was done to interfaces, so that the metadata knows when to look again
	news     bell           // rings when the metadata may have changed
	owned    []func() error // what tests started and may have left
	closer   sync.Once
	errs     error
}

// interface is an attached Interface.
type iface struct {
	Interface
	node    *Node
	subnet  Subnet
	port    port
	primary bool // the first one of its host
	hidden  bool // the metadata do not show it yet
	vf      virtual
}

// New builds a cloud and starts its servers. The instance's first interface is configured as an installed
// host's is; the others are attached down and bare, as a hot plug leaves them.
func New(cfg Config) (*Cloud, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	c := &Cloud{cfg: cfg, past: map[int]string{}}
	if err := c.build(); err != nil {
		return nil, errors.Join(fmt.Errorf("lab: %w", err), c.Close())
	}
	return c, nil
}

func (c *Cloud) build() error {
	if err := c.makeNodes(); err != nil {
		return err
	}
	var err error
	if c.net, err = newFabric(c.fabric, c.client, c.cfg); err != nil {
		return err
	}
	if c.imds, err = startIMDS(c); err != nil {
		return err
	}
	if c.dhcp, err = startDHCP(c); err != nil {
		return err
	}
	if c.cfg.Cloud.habits().lease6 != nil {
		if c.dhcp6, err = startDHCP6(c); err != nil {
			return err
		}
	}
	if err := c.makeHost(c.instance, c.cfg.RPFilter, c.cfg.DAD); err != nil {
		return err
	}
	for i, spec := range c.cfg.Interfaces {
		if err := c.plug(c.instance, spec, i == 0); err != nil {
			return err
		}
	}
	return nil
}

// makeHost prepares a node that interfaces are going to be plugged into.
func (c *Cloud) makeHost(n *Node, rpFilter int, dad bool) error {
	if err := prepareHost(n, rpFilter, dad); err != nil {
		return err
	}
	return c.watchCarriers(n)
}

// instanceName is the name of the host with the interfaces.
const instanceName = "instance"

// makeNodes makes the three hosts that every cloud has, at the same time.
func (c *Cloud) makeNodes() error {
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i, into := range []**Node{&c.fabric, &c.instance, &c.client} {
		wg.Add(1)
		go func() {
			defer wg.Done()
			*into, errs[i] = newNode(c, []string{"fabric", instanceName, "client"}[i])
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Close ends the servers, every process on the cloud's hosts, and the cloud. It may be called twice.
func (c *Cloud) Close() error {
	c.closer.Do(func() { c.errs = c.close() })
	return c.errs
}

func (c *Cloud) close() error {
	var errs []error
	if c.imds != nil {
		errs = append(errs, c.imds.close())
	}
	if c.dhcp != nil {
		errs = append(errs, c.dhcp.close())
	}
	if c.dhcp6 != nil {
		errs = append(errs, c.dhcp6.close())
	}
	c.mu.Lock()
	owned := c.owned
	c.mu.Unlock()
	for _, stop := range slices.Backward(owned) {
		errs = append(errs, stop())
	}
	nodes := c.Nodes()
	if len(nodes) > 0 {
		errs = append(errs, killProcesses(nodes...))
	}
	if c.net != nil {
		errs = append(errs, c.net.close())
	}
	for _, n := range nodes {
		errs = append(errs, n.close())
	}
	return errors.Join(errs...)
}

// own stops something when the cloud is closed, the last first. Stopping twice must do no harm.
func (c *Cloud) own(stop func() error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owned = append(c.owned, stop)
}

// Instance is the host with the interfaces. After Reboot it is another one.
func (c *Cloud) Instance() *Node {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.instance
}

// Client is the host on the internet.
func (c *Cloud) Client() *Node { return c.client }

// Fabric is the network between them: the VPC's router and its servers.
func (c *Cloud) Fabric() *Node { return c.fabric }

// IMDS is the metadata server.
func (c *Cloud) IMDS() *IMDS { return c.imds }

// DHCP is the DHCP server.
func (c *Cloud) DHCP() *DHCP { return c.dhcp }

// Nodes lists the cloud's hosts.
func (c *Cloud) Nodes() []*Node {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := append([]*Node{c.instance, c.client, c.fabric}, c.peers...)
	return slices.DeleteFunc(all, func(n *Node) bool { return n == nil })
}

// Node finds a host by its name: instance, client, fabric, or a peer's.
func (c *Cloud) Node(name string) (*Node, error) {
	var names []string
	for _, n := range c.Nodes() {
		if n.Name == name {
			return n, nil
		}
		names = append(names, n.Name)
	}
	return nil, fmt.Errorf("no host %q in the lab; there are %s", name, strings.Join(names, ", "))
}

// AddPeer adds another instance to the VPC, with one interface that has the addresses and is configured.
func (c *Cloud) AddPeer(name string, addrs ...netip.Addr) (*Node, error) {
	if name == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("peer %q: a name is needed, without slash", name)
	}
	if _, err := c.Node(name); err == nil {
		return nil, fmt.Errorf("peer %s: there is a host of that name", name)
	}
	n, err := newNode(c, name)
	if err != nil {
		return nil, err
	}
	spec := Interface{Name: "eth0"}
	for _, a := range addrs {
		if a.Is4() {
			spec.Addrs4 = append(spec.Addrs4, a)
		} else {
			spec.Addrs6 = append(spec.Addrs6, a)
		}
	}
	err = c.makeHost(n, 0, false)
	if err == nil {
		err = c.plug(n, spec, true)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("peer %s: %w", name, err), n.close())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peers = append(c.peers, n)
	return n, nil
}

// Interfaces lists the interfaces of the instance, in the order of their attachment.
func (c *Cloud) Interfaces() []Interface { return c.InterfacesOf(c.instance) }

// InterfacesOf lists the interfaces of a host.
func (c *Cloud) InterfacesOf(n *Node) []Interface {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var out []Interface
	for _, k := range c.ifaces {
		if k.node == n {
			out = append(out, k.clone())
		}
	}
	return out
}

// published lists the interfaces of a host that the metadata show.
func (c *Cloud) published(n *Node) []Interface {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var out []Interface
	for _, k := range c.ifaces {
		if k.node == n && !k.hidden {
			out = append(out, k.clone())
		}
	}
	return out
}

// Interface finds an attached interface by its name (of the instance), host/name, MAC or ENI ID.
func (c *Cloud) Interface(key string) (Interface, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	k, err := c.find(key)
	if err != nil {
		return Interface{}, err
	}
	return k.clone(), nil
}

// find is Interface for callers that hold the lock.
func (c *Cloud) find(key string) (*iface, error) {
	for _, k := range c.ifaces {
		named := key == k.node.Name+"/"+k.Name || (k.node == c.instance && key == k.Name)
		if named || key == k.ID || strings.EqualFold(key, k.MAC.String()) {
			return k, nil
		}
	}
	return nil, fmt.Errorf("no interface %q is attached", key)
}

// clone copies the interface so that the caller may keep and change it.
func (k *iface) clone() Interface {
	out := k.Interface
	out.Addrs4, out.Addrs6 = slices.Clone(k.Addrs4), slices.Clone(k.Addrs6)
	out.Prefixes4, out.Prefixes6 = slices.Clone(k.Prefixes4), slices.Clone(k.Prefixes6)
	out.Forwarded, out.Targets = slices.Clone(k.Forwarded), slices.Clone(k.Targets)
	out.EIPs = maps.Clone(k.EIPs)
	return out
}
