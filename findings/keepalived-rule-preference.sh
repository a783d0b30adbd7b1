#!/usr/bin/env bash
# keepalived 2.2.7 (Debian 12, 1:2.2.7-1+b2): a virtual_rules entry without a preference is put at 16384 and, one
# by one, below it, whatever rules the host has.
#
# One would expect what the kernel does with a rule that names no preference: it goes right before the lowest
# one there is (here 9999), or, as is often said, to 32765. keepalived numbers them itself, so its rules come after
# everything that another program keeps at 10000 and before everything at 20000.
#
# Seen on Linux 6.18, with a rule at 10000 there before:
#   16383:	from 192.0.2.10 lookup 5000 proto keepalived
#   16384:	from 192.0.2.9 lookup 5000 proto keepalived
# and, for comparison, of ip(8): 9999:	from 192.0.2.77 lookup 5000
#
# Needs root and mmdebstrap; everything happens in a network namespace of its own. Says "as described" and ends
# with 0, or shows what changed and ends with 1.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mmdebstrap --quiet --variant=extract --include=keepalived=1:2.2.7-1+b2 bookworm "$dir/root"
cat >"$dir/keepalived.conf" <<'EOF'
vrrp_instance V {
  state MASTER
  interface v0
  virtual_router_id 7
  priority 200
  advert_int 1
  virtual_ipaddress { 192.0.2.9/24 dev v0 }
  virtual_rules {
    from 192.0.2.9/32 lookup 5000
    from 192.0.2.10/32 lookup 5000
  }
}
EOF
cat >"$dir/host" <<'EOF'
set -eu
cd "$1"
ip link add v0 type veth peer name v1
ip link set v0 up
ip link set v1 up
ip addr add 192.0.2.1/24 dev v0
ip rule add from 203.0.113.1 lookup 4000 pref 10000
lib=root/lib/x86_64-linux-gnu:root/usr/lib/x86_64-linux-gnu
root/lib64/ld-linux-x86-64.so.2 --library-path "$lib" root/usr/sbin/keepalived -n -l -f keepalived.conf -p vrrp -r main >log 2>&1 &
keepalived=$!
# Until both are there, which takes the three seconds of an election.
tries=0
until [ "$(ip rule | grep -c 'from 192.0.2')" -ge 2 ] || [ $((tries += 1)) -gt 600 ]; do sleep 0.1; done
ip rule add from 192.0.2.77 lookup 5000
ip rule | grep 'from 192.0.2'
kill "$keepalived"
wait "$keepalived" || :
EOF
unshare --net --mount sh "$dir/host" "$dir" >"$dir/seen"
printf '%s\n' '9999:	from 192.0.2.77 lookup 5000' '16383:	from 192.0.2.10 lookup 5000 proto keepalived' \
	'16384:	from 192.0.2.9 lookup 5000 proto keepalived' >"$dir/described"
diff "$dir/seen" "$dir/described" && echo "as described"
