#!/usr/bin/env bash
# github.com/vishvananda/netlink v1.3.1: a policy rule's suppress_prefixlength and suppress_ifgroup are
# dropped without an error as soon as the rule's table is above 255.
#
# One would expect RuleAdd to send them (ip-rule(8) does), or to refuse. It sends them only where the table
# fits into the one byte of the rule's header, so that "lookup 10001 suppress_prefixlength 0" becomes
# "lookup 10001": a rule that takes the default route, which it was written to leave alone.
#
# Seen on Linux 6.18:
#   table 255: suppress_prefixlength 0 suppress_ifgroup 7
#   table 256: suppress_prefixlength -1 suppress_ifgroup -1
#
# Needs root (a network namespace of its own) and Go; says "as described" and ends with 0, or shows what
# changed and ends with 1.
set -euo pipefail
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
export GOMODCACHE=$dir/mod GOFLAGS=-mod=mod GOWORK=off
cd "$dir"
cat >go.mod <<'EOF'
module finding

go 1.26

require github.com/vishvananda/netlink v1.3.1
EOF
cat >main.go <<'EOF'
package main

import (
	"fmt"
	"log"
	"net"

	"github.com/vishvananda/netlink"
)

func main() {
	for i, table := range []int{255, 256} {
		r := netlink.NewRule()
		r.Family, r.Priority, r.Table = netlink.FAMILY_V4, 100+i, table
		r.Src = &net.IPNet{IP: net.IPv4(192, 0, 2, 0).To4(), Mask: net.CIDRMask(24, 32)}
		r.SuppressPrefixlen, r.SuppressIfgroup = 0, 7
		if err := netlink.RuleAdd(r); err != nil {
			log.Fatal(err)
		}
	}
	rules, err := netlink.RuleList(netlink.FAMILY_V4)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range rules {
		if r.Priority == 100 || r.Priority == 101 {
			fmt.Printf("table %d: suppress_prefixlength %d suppress_ifgroup %d\n", r.Table, r.SuppressPrefixlen, r.SuppressIfgroup)
		}
	}
}
EOF
go mod tidy >/dev/null 2>&1
go build -o finding .
unshare --net ./finding >seen
cat >described <<'EOF'
table 255: suppress_prefixlength 0 suppress_ifgroup 7
table 256: suppress_prefixlength -1 suppress_ifgroup -1
EOF
diff described seen && echo "as described"
