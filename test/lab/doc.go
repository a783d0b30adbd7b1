// Package lab is an embedded cloud: a VPC on the real kernel, in network namespaces.
//
// A Cloud has an instance with interfaces, peers in its subnets, a client on the internet, and between
// them the fabric: gateways that answer ARP and neighbour discovery, a router, the
// source/destination check that drops a packet whose source is not an address of the interface it came
// by, elastic IPs as stateless one-to-one NAT, an IMDSv2 server on 169.254.169.254 and
// fd00:ec2::254, and a DHCP server that answers as EC2's does. Metadata and DHCP can be made to
// fail in the ways that clouds do (Fault, DHCPFault).
//
// Config{Cloud: Azure} makes Azure's virtual network in the same way: one metadata document with
// Azure's manners, leases that route only the primary interface, DHCPv6, gateways with Azure's one MAC,
// the host's servers (168.63.129.16) for the primary interface alone, its probes of any interface (Probe), a
// public address lent to who has none, IP forwarding (Forward), routes of the user's own (AddRoute),
// and VFs (AttachVF). Seed001 is such a machine. Reboot starts any cloud's instance again.
//
// Config{Cloud: OCI} makes Oracle's: no lease for a secondary interface, servers that answer the primary alone, metadata
// that show an interface late. Config{Cloud: GCE} makes Google's: leases of a /32, routers that alone answer ARP, networks
// apart from each other, forwarded addresses (ForwardTo), and metadata that a client can wait for to change.
//
// It needs root or a user namespace, and no program: everything is netlink, nftables by netlink,
// and Go. Tests start with
//
//	func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }
//
// which moves the test binary into namespaces of its own, and then make as many clouds as they like:
//
//	c, err := lab.New(lab.Config{})       // seed 002: eth0 and eth1, two elastic IPs
//	defer c.Close()
//	out, err := c.Instance().Command(ctx, "ip", "rule").Output()
//	rtt, err := c.Client().Ping(ctx, lab.EIP1, lab.Ping{})
package lab
