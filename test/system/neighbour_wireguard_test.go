//go:build system

package system

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"net/netip"
	"time"

	"ec2net/test/lab"
)

// wgOutside is the other end of the tunnel: it routes nothing but the tunnel's own addresses.
const wgOutside = "10.9.0.1"

// wireGuard is wg-quick with everything in AllowedIPs: it adds rules without a preference, which the kernel puts before
// all others when ec2net's are there already.
func wireGuard() neighbour {
	n := wgQuick("WireGuard, wg-quick", "")
	n.causes = []string{"metadata-route"} // it is asked through the tunnel, but by ec2net
	n.second = []string{"eth0:rule-in-front", "ens6:rule-in-front", "metadata-route"}
	n.cure = (*bed).obey
	n.anew = "systemctl restart wg-quick@wg0"
	return n
}

// wireGuardOff is the same tunnel as docs/neighbours.md advises.
func wireGuardOff() neighbour {
	n := wgQuick("WireGuard, Table = off", `Table = off
FwMark = 51820
PostUp = ip route add default dev %i table 51820; ip -6 route add default dev %i table 51820
PostUp = for f in -4 -6; do ip $f rule add not fwmark 51820 table 51820 pref 32001; ip $f rule add table main suppress_prefixlength 0 pref 32000; done
PostUp = ip rule add to 169.254.169.254 table main pref 31999
PreDown = for f in -4 -6; do ip $f rule del pref 32000; ip $f rule del pref 32001; done; ip rule del pref 31999
`)
	n.acts, n.apart = []string{"systemctl restart wg-quick@wg0"}, true
	return n
}

// wgQuick is a tunnel to the client on the internet, by wireguard-go: it needs no module of the kernel.
func wgQuick(name, more string) neighbour {
	private, public := wgKeys()
	outPrivate, outPublic := wgKeys()
	return neighbour{
		name: name,
		files: map[string]string{
			"/etc/wireguard/wg0.conf": "[Interface]\nPrivateKey = " + private + "\nAddress = 10.9.0.2/32, fd00:9::2/128\n" + more +
				"[Peer]\nPublicKey = " + outPublic + "\nEndpoint = " + lab.ClientIP.String() + ":51820\nAllowedIPs = 0.0.0.0/0, ::/0\n",
			"/etc/wireguard/outside": "[Interface]\nPrivateKey = " + outPrivate + "\nListenPort = 51820\n[Peer]\nPublicKey = " + public +
				"\nAllowedIPs = 10.9.0.2/32, fd00:9::2/128\n",
		},
		world: func(b *bed) { b.farEnd() },
		start: "systemctl start wg-quick@wg0",
		stop:  "systemctl stop wg-quick@wg0",
		works: "ip route get 192.0.2.77 | grep -q 'dev wg0' && ip -6 route get 2001:db8::77 | grep -q 'dev wg0'",
		check: func(b *bed) { b.tunnelled(netip.MustParseAddr(wgOutside)) },
	}
}

// farEnd begins the tunnel's other end, on the internet.
func (b *bed) farEnd() {
	b.t.Helper()
	b.begin(b.outside(b.cloud.Client(), "wireguard-go", "--foreground", "outside"))
	set := func() error {
		return b.outside(b.cloud.Client(), "sh", "-c", "wg setconf outside /etc/wireguard/outside && ip addr replace "+wgOutside+"/32 dev outside && "+
			"ip link set outside up && ip route replace 10.9.0.2 dev outside").Run()
	}
	var err error
	b.until(limit, func() string { return "the tunnel's other end: " + err.Error() }, func() bool {
		if err = set(); err != nil {
			time.Sleep(100 * time.Millisecond)
		}
		return err == nil
	})
}

// wgKeys are a private key and its public one, as wg(8) writes them.
func wgKeys() (private, public string) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // there is always randomness
	}
	return base64.StdEncoding.EncodeToString(key.Bytes()), base64.StdEncoding.EncodeToString(key.PublicKey().Bytes())
}
