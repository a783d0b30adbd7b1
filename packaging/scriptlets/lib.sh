#!/bin/sh
# Shared by the scriptlets of the deb and the rpm: packaging/build puts it before each of them.
# None of it may fail where there is no systemd, no udev and no card: a chroot, an image being built.

config=/etc/ec2net/ec2net.toml
state=/run/ec2net

# booted: systemd runs this system, see sd_booted(3).
booted() {
	[ -d /run/systemd/system ] && command -v systemctl >/dev/null
}

# allowed: the administrator lets packages start services here. Debian's way to ask, see invoke-rc.d(8);
# deb-systemd-invoke would ask too, but starts no static unit, and waits.
allowed() {
	if command -v policy-rc.d >/dev/null; then
		answer=0
		policy-rc.d "$@" || answer=$?
		[ "$answer" -ne 101 ]
	fi
}

# reload makes systemd and udev read our files, or forget them. No device is triggered.
reload() {
	if booted; then
		systemctl daemon-reload || :
	fi
	if command -v udevadm >/dev/null && { booted || [ -S /run/udev/control ]; }; then
		udevadm control --reload || :
	fi
}

# pick_up sets up the interfaces that are plugged in already, the primary too, as a boot does. The scan leaves alone
# what is set up. Nothing waits for it, because the metadata may be late.
pick_up() {
	if booted && allowed ec2net-scan restart; then
		systemctl --no-block restart ec2net-scan.service || :
	fi
}

# renew restarts the running units with the new program. Stopping one leaves its card as it is, so no
# packet is lost, and a unit that waits for the metadata holds nothing up.
renew() {
	if booted && allowed ec2net-ifup restart; then
		systemctl --no-block try-restart 'ec2net-ifup@*.service' || :
	fi
}

# take_away stops the units and takes everything of ours out of the kernel, card by card.
take_away() {
	if booted; then
		systemctl stop ec2net-scan.service 'ec2net-ifup@*.service' || :
	fi
	for record in "$state"/*.json; do
		[ -e "$record" ] || continue
		card=${record##*/}
		card=${card%.json}
		ec2net --log-level warning down "$card" ||
			echo "ec2net: something of $card may be left in the kernel: see \"ip route show table all proto 236\" and \"ip rule\"" >&2
	done
	if booted; then
		systemctl reset-failed ec2net-scan.service 'ec2net-ifup@*.service' 2>/dev/null || :
	fi
}

# forget removes what we keep until the next boot, unless it says of a card that is not cleared up.
forget() {
	for record in "$state"/*.json; do
		[ ! -e "$record" ] || return 0
	done
	rm -rf "$state"
}

# unsynced lists the cards that ec2-net-utils 1 was told to leave alone, by EC2SYNC=no in an ifcfg file.
unsynced() {
	for file in /etc/sysconfig/network-scripts/ifcfg-*; do
		card=${file##*/ifcfg-}
		case $card in
		'' | *[!A-Za-z0-9_]* | ????????????????*) continue ;; # an alias, a backup, no interface's name
		esac
		if grep -Eqs "^[[:space:]]*EC2SYNC=[\"']?no[\"']?([[:space:]#]|\$)" "$file"; then
			echo "$card"
		fi
	done
}

# migrate leaves those cards alone too, unless there is a configuration already.
migrate() {
	cards=$(unsynced)
	if [ -z "$cards" ] || [ -e "$config" ] || [ -L "$config" ]; then
		return 0
	fi
	mkdir -p "${config%/*}"
	{
		echo "# Carried over from ec2-net-utils when ec2net was installed; see ec2net.toml(5)."
		for card in $cards; do
			printf '\n%s    # EC2SYNC=no in ifcfg-%s\nname = "%s"\nmanage = false\n' '[[card]]' "$card" "$card"
		done
	} >"$config.new"
	chmod 644 "$config.new"
	mv "$config.new" "$config"
	for card in $cards; do
		echo "ec2net: $card is left alone, because ifcfg-$card says EC2SYNC=no (see $config)"
	done
}
