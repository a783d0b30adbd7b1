package doctor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Chain is a chain of nftables or of iptables-legacy, of anybody's, that sees packets that are passed on.
type Chain struct {
	Family string // "ip", "ip6" or "inet"
	Table  string
	Name   string
	Drops  bool // what none of its rules accepts
	Docker bool // its table has the chain that Docker leaves to others
	Legacy bool // of iptables-legacy, which nft(8) does not show

	table chainTable
}

// String is the chain as nft(8) names it, or the option of iptables-legacy(8) and the chain.
func (c Chain) String() string {
	if c.Legacy {
		return fmt.Sprintf("iptables-legacy -t %s, chain %s", c.Table, c.Name)
	}
	return fmt.Sprintf("chain %s %s %s", c.Family, c.Table, c.Name)
}

// show is the command that shows the chain.
func (c Chain) show() string {
	if c.Legacy {
		return fmt.Sprintf("iptables-legacy -t %s -S %s", c.Table, c.Name)
	}
	return "nft list " + c.String()
}

// accept is the command that lets what comes in by one interface and leaves by the other through.
func (c Chain) accept(in, out string) string {
	switch {
	case c.Docker && c.Legacy:
		return fmt.Sprintf("iptables-legacy -I %s -i %s -o %s -j ACCEPT", dockerUser, in, out)
	case c.Docker:
		return fmt.Sprintf("iptables -I %s -i %s -o %s -j ACCEPT", dockerUser, in, out)
	case c.Legacy:
		return fmt.Sprintf("iptables-legacy -t %s -I %s -i %s -o %s -j ACCEPT", c.Table, c.Name, in, out)
	}
	return fmt.Sprintf("nft insert rule %s %s %s iifname %s oifname %s accept", c.Family, c.Table, c.Name, in, out)
}

const hookForward = 2 // NF_INET_FORWARD

// ReadChains lists the chains with the hook forward, those that iptables-nft and iptables-legacy make among them. It needs
// CAP_NET_ADMIN, without which the error is of the kind unix.EPERM. A kernel without nftables or iptables has none.
func ReadChains() ([]Chain, error) {
	chains, err := readNFT()
	if err != nil {
		return nil, err
	}
	legacy, err := readLegacy()
	return append(chains, legacy...), err
}

// readNFT lists those of nftables.
func readNFT() ([]Chain, error) {
	const get, answer = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETCHAIN, unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWCHAIN
	msgs, err := dump(unix.NETLINK_NETFILTER, get, answer, &nl.Nfgenmsg{NfgenFamily: unix.NFPROTO_UNSPEC})
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the chains of nftables: %w", err)
	}
	var out, all []Chain
	for _, m := range msgs {
		c, ok, err := parseChain(m)
		if err != nil {
			return nil, err
		}
		if all = append(all, c); ok {
			out = append(out, c)
		}
	}
	tables := map[string]chainTable{}
	for i, c := range out {
		key := c.Family + " " + c.Table
		if _, read := tables[key]; !read {
			if tables[key], err = readTable(c.Family, c.Table); err != nil {
				return nil, err
			}
		}
		out[i].table = tables[key]
		out[i].Docker = slices.ContainsFunc(all, func(o Chain) bool {
			return o.Family == c.Family && o.Table == c.Table && o.Name == dockerUser
		})
	}
	return out, nil
}

// dockerUser is the chain that Docker's iptables backend asks before its own. Its nftables backend (29.0 and newer) has
// none, and no policy that drops either.
const dockerUser = "DOCKER-USER"

// parseChain reads a chain of nftables (NFTA_CHAIN_*). ok: it is a base chain with the hook forward, of a family that sees IP
// packets. Its policy is to accept unless it says otherwise.
func parseChain(m []byte) (c Chain, ok bool, err error) {
	a, err := parse(m, nl.SizeofNfgenmsg)
	if err != nil {
		return c, false, err
	}
	hook, err := parse(a[unix.NFTA_CHAIN_HOOK], 0)
	if err != nil {
		return c, false, err
	}
	c = Chain{
		Family: families()[m[0]],
		Table:  a.text(unix.NFTA_CHAIN_TABLE), Name: a.text(unix.NFTA_CHAIN_NAME),
		Drops: a.be32(unix.NFTA_CHAIN_POLICY, 1) == 0, // NF_DROP
	}
	return c, c.Family != "" && hook.be32(unix.NFTA_HOOK_HOOKNUM, ^uint32(0)) == hookForward, nil
}

// be32 tells an attribute that is not there from one that is 0; nftables writes in the network's order.
func (a attrs) be32(t uint16, missing uint32) uint32 {
	if b := a[t]; len(b) >= 4 {
		return binary.BigEndian.Uint32(b)
	}
	return missing
}

// families are those of chains that see IP packets.
func families() map[uint8]string {
	return map[uint8]string{unix.NFPROTO_IPV4: "ip", unix.NFPROTO_IPV6: "ip6", unix.NFPROTO_INET: "inet"}
}

func familyNumber(name string) uint8 {
	for n, s := range families() {
		if s == name {
			return n
		}
	}
	return unix.NFPROTO_UNSPEC
}
