#!/usr/bin/env bash
# netplan 0.106 (Debian 12, 0.106-2+deb12u1): "match: {macaddress: …}" becomes PermanentMACAddress= for systemd-networkd,
# but ATTR{address}, the address that is in use, for udev and NetworkManager.
#
# One would expect MACAddress=, so that the stanza matches whatever has the address. An interface without a
# permanent address of its own (veth, most bridges and VLANs, a virtual function that was given its address)
# matches for udev, which renames it and keeps NetworkManager off it, and never for networkd, which leaves it
# "unmanaged" without a word: it has no manager at all.
#
# Seen:
#   10-netplan-eth1.network: PermanentMACAddress=02:00:00:00:00:05
#   10-netplan-eth1.link: PermanentMACAddress=02:00:00:00:00:05
#   99-netplan-eth1.rules: ATTR{address}=="02:00:00:00:00:05"
#   90-netplan.rules: ATTR{address}=="02:00:00:00:00:05"
#
# Needs mmdebstrap, as root; nothing is applied. Says "as described" and ends with 0, or shows what changed and
# ends with 1.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mmdebstrap --quiet --variant=extract --include=netplan.io=0.106-2+deb12u1 bookworm "$dir/root"
cd "$dir"
mkdir -p host/etc/netplan
cat >host/etc/netplan/interface.yaml <<'EOF'
network:
  version: 2
  ethernets:
    eth1:
      match: {macaddress: "02:00:00:00:00:05"}
      set-name: eth1
      dhcp4: true
EOF
chmod 600 host/etc/netplan/interface.yaml
root/lib64/ld-linux-x86-64.so.2 --library-path root/lib/x86_64-linux-gnu:root/usr/lib/x86_64-linux-gnu \
	root/usr/libexec/netplan/generate --root-dir host
for file in systemd/network/10-netplan-eth1.network systemd/network/10-netplan-eth1.link \
	udev/rules.d/99-netplan-eth1.rules udev/rules.d/90-netplan.rules; do
	grep -o '[A-Za-z{}]*[=]*"\?02:00:00:00:00:05"\?' "host/run/$file" | sed "s|^|${file##*/}: |"
done >seen
cat >described <<'EOF'
10-netplan-eth1.network: PermanentMACAddress=02:00:00:00:00:05
10-netplan-eth1.link: PermanentMACAddress=02:00:00:00:00:05
99-netplan-eth1.rules: ATTR{address}=="02:00:00:00:00:05"
90-netplan.rules: ATTR{address}=="02:00:00:00:00:05"
EOF
diff seen described && echo "as described"
