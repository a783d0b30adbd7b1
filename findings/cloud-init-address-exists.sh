#!/usr/bin/env bash
# cloud-init 22.4.2 (Debian 12, 22.4.2-1+deb12u4): its hotplug hook fails on a newer kernel, since it knows an address
# that is there already by the words "File exists" in the output of ip(8).
#
# One would expect it to go by what is on the interface, or the text of an errno to be stable. Before each reading of the
# metadata the EC2 datasource adds the leased address to the primary interface: at boot that one is bare, under the
# hook it has the address. ip(8) prints the kernel's own message where there is one, and for the EEXIST of an
# IPv4 address Linux has one by now. The hook tries five times within 49 seconds, with a DHCP client on the primary
# interface each time, and configures nothing.
#
# Seen on Linux 6.18:
#   ip: Error: ipv4: Address already assigned.
#   cloud-init: ProcessExecutionError
#
# Needs root and mmdebstrap; everything happens in a network namespace of its own. Says "as described" and ends
# with 0, or shows what changed and ends with 1.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mmdebstrap --quiet --variant=extract --include=cloud-init=22.4.2-1+deb12u4,iproute2=6.1.0-3 bookworm "$dir/root"
cat >"$dir/host" <<'EOS'
set -eu
cd "$1"
mkdir -p sys
mount -t sysfs sysfs sys
mount --bind /dev dev
chroot . ip link add v0 type veth peer name v1
chroot . ip addr add 10.0.0.29/24 dev v0
printf 'ip: '
chroot . ip addr add 10.0.0.29/24 dev v0 2>&1 || :
chroot . python3 - <<'EOP'
from cloudinit.net.ephemeral import EphemeralIPv4Network
from cloudinit.subp import ProcessExecutionError
try:
    with EphemeralIPv4Network("v0", "10.0.0.29", "255.255.255.0", "10.0.0.255"):
        print("cloud-init: goes on")
except ProcessExecutionError as e:
    print("cloud-init:", type(e).__name__)
EOP
EOS
unshare --net --mount sh "$dir/host" "$dir/root" >"$dir/seen" 2>"$dir/log" || cat "$dir/log"
printf '%s\n' 'ip: Error: ipv4: Address already assigned.' 'cloud-init: ProcessExecutionError' >"$dir/described"
diff "$dir/seen" "$dir/described" && echo "as described"
