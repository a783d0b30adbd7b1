// Package stock makes a network namespace like that of a machine that nobody has set up, whatever this machine is.
package stock

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
)

// settings is what the kernel itself begins with, of the settings that decide a packet's way. A new network namespace
// takes IPv4's over from the machine's first one (net.core.devconf_inherit_init_net,
// Documentation/admin-guide/sysctl/net.rst): distributions set rp_filter there, Docker forwarding.
var settings = map[string]string{
	"accept_local": "0", "accept_redirects": "1", "arp_accept": "0", "arp_announce": "0", "arp_filter": "0",
	"arp_ignore": "0", "arp_notify": "0", "drop_gratuitous_arp": "0", "forwarding": "0", "ignore_routes_with_linkdown": "0",
	"promote_secondaries": "0", "proxy_arp": "0", "route_localnet": "0", "rp_filter": "0", "secure_redirects": "1",
	"send_redirects": "1", "src_valid_mark": "0",
}

// Sysctls makes the IPv4 settings of the thread's network namespace those of a machine on which nobody set any. Links
// that are made from then on have them.
func Sysctls() error {
	for _, scope := range []string{"all", "default"} {
		dir := path.Join("/proc/sys/net/ipv4/conf", scope)
		for name, value := range settings {
			if have, err := os.ReadFile(path.Join(dir, name)); err == nil && strings.TrimSpace(string(have)) == value {
				continue // writing forwarding resets others
			} else if errors.Is(err, os.ErrNotExist) {
				continue // a kernel that does not know it
			}
			if err := os.WriteFile(path.Join(dir, name), []byte(value), 0); err != nil {
				return fmt.Errorf("be like a machine that nobody has set up: set %s to %s: %w", name, value, err)
			}
		}
	}
	return nil
}
