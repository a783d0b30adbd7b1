#!/usr/bin/env bash
# cloud-init 25.1.4 (Debian 13, 25.1.4-1+deb13u1) with dhcpcd 10.1.0: its "DHCP discovery" takes the routes of an interface that
# another program has configured, and the hotplug hook makes one on every interface of EC2's in use.
#
# One would expect a discovery to ask and to leave the interface as it is, which is how cloud-init used dhclient (a script
# that does nothing), or to clean up after itself. dhcpcd writes addresses and routes itself, whatever its script;
# cloud-init then kills it with SIGKILL, so that nothing is taken back. It replaces the kernel's route to the subnet by one that
# hangs on the leased address, and the default route by one of a worse metric.
# When the manager renews the address afterwards, as systemd-networkd does at the hook's "netplan apply", those go with it: a
# leased address that is secondary to a static one brings no route to the subnet, and the host reaches its own
# subnet by the gateway until somebody adds the route, or boots.
#
# Seen, the interface's routes before, after the discovery, and after the address was renewed:
#   default via 10.0.0.1 proto dhcp src 10.0.0.29 metric 100
#   10.0.0.0/24 proto kernel scope link src 10.0.0.40
#   -
#   default via 10.0.0.1 proto dhcp src 10.0.0.29 metric 1002
#   10.0.0.0/24 proto dhcp scope link src 10.0.0.29 metric 1002
#   -
#   (none)
#
# Needs root and mmdebstrap; everything happens in a network namespace of its own. Says "as described" and ends
# with 0, or shows what changed and ends with 1.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
packages=base-files,cloud-init=25.1.4-1+deb13u1,dhcpcd-base=1:10.1.0-11+deb13u5,iproute2=6.15.0-1,dnsmasq-base
mmdebstrap --quiet --variant=extract --include=$packages trixie "$dir/root"
cat >"$dir/host" <<'EOS'
set -eu
mount --bind "$1" "$1"
cd "$1"
at() { chroot . "$@"; }
mkdir -p sys proc run var/lib/dhcpcd etc/ssl/certs
mount -t sysfs sysfs sys
mount -t proc proc proc
mount -t tmpfs tmpfs run
mount --bind /dev dev
# What the packages' scripts would have made.
printf 'root:x:0:0::/root:/bin/sh\n' >etc/passwd
printf 'root:x:0:\n' >etc/group
cat usr/share/ca-certificates/mozilla/*.crt >etc/ssl/certs/ca-certificates.crt
at ip netns add cloud
at ip link add v0 type veth peer name v1 netns cloud
at ip -n cloud addr add 10.0.0.1/24 dev v1
at ip -n cloud link set v1 up
at ip netns exec cloud dnsmasq --conf-file=/dev/null --user=root --no-hosts --no-resolv --port=0 --interface=v1 --bind-interfaces --no-ping \
	--dhcp-authoritative --dhcp-range=10.0.0.29,10.0.0.29,255.255.255.0,2m --dhcp-option=3,10.0.0.1 --leasefile-ro \
	--pid-file=/run/dnsmasq.pid --log-facility=/run/dnsmasq.log
# As a manager leaves it: a static address, the leased one in the same subnet, and the lease's route.
at ip link set v0 up
at ip addr add 10.0.0.40/24 dev v0
at ip addr add 10.0.0.29/24 dev v0
at ip route add default via 10.0.0.1 dev v0 proto dhcp src 10.0.0.29 metric 100
at ip route show dev v0
at python3 - >&2 <<'EOP'
from cloudinit.distros.debian import Distro
from cloudinit.helpers import Paths
from cloudinit.net.dhcp import Dhcpcd
Dhcpcd().dhcp_discovery("v0", distro=Distro("debian", {}, Paths({})))
EOP
echo -
at ip route show dev v0
at ip addr del 10.0.0.29/24 dev v0
at ip addr add 10.0.0.29/24 dev v0
echo -
at ip route show dev v0
EOS
# In a PID namespace: what is started ends with it.
unshare --net --mount --pid --fork --kill-child sh "$dir/host" "$dir/root" 2>"$dir/log" | sed 's/ *$//' >"$dir/seen" || cat "$dir/log"
cat >"$dir/described" <<'EOS'
default via 10.0.0.1 proto dhcp src 10.0.0.29 metric 100
10.0.0.0/24 proto kernel scope link src 10.0.0.40
-
default via 10.0.0.1 proto dhcp src 10.0.0.29 metric 1002
10.0.0.0/24 proto dhcp scope link src 10.0.0.29 metric 1002
-
EOS
diff "$dir/seen" "$dir/described" && echo "as described"
