package metadata

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// The well-known addresses of the metadata, the second for EC2's subnets without IPv4.
const (
	endpoint4 = "http://169.254.169.254"
	endpoint6 = "http://[fd00:ec2::254]"
)

// The variables that name another endpoint. The first is the one that the SDKs and the AWS command
// line read; Azure has none of its own.
const (
	endpointVar      = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
	endpointVarAzure = "EC2NET_AZURE_ENDPOINT"
)

// endpoints lists where to ask: where configured or the variable says, else at the usual places.
func endpoints(configured, variable string, usual ...string) ([]string, error) {
	if configured == "" {
		configured = os.Getenv(variable)
	}
	if configured == "" {
		return usual, nil
	}
	one, err := parseEndpoint(configured)
	return []string{one}, err
}

// parseEndpoint accepts http://IP or http://IP:port and nothing else: a name would need DNS, which
// may itself wait for the interface that is being set up, and a path would silently be dropped by the SDK.
func parseEndpoint(s string) (string, error) {
	host, ok := strings.CutPrefix(strings.TrimSuffix(s, "/"), "http://")
	if !ok {
		return "", fmt.Errorf("metadata endpoint %.60q: want http:// and an IP address", s)
	}
	at, err := netip.ParseAddrPort(host)
	if err != nil {
		ip, err := netip.ParseAddr(unbracket(host))
		if err != nil {
			return "", fmt.Errorf("metadata endpoint %.60q: want http:// and an IP address with or without a port, not a name or a path", s)
		}
		at = netip.AddrPortFrom(ip, 80)
	}
	ip := at.Addr()
	unusable := ip.IsUnspecified() || ip.IsMulticast() || at.Port() == 0
	if unusable || ip.Zone() != "" || ip.Is4In6() {
		return "", fmt.Errorf("metadata endpoint %.60q: no server can be at that address", s)
	}
	return "http://" + strings.TrimSuffix(at.String(), ":80"), nil
}

// serverOf is the address in a URL that endpoints made.
func serverOf(url string) netip.AddrPort {
	host := strings.TrimPrefix(url, "http://")
	if at, err := netip.ParseAddrPort(host); err == nil {
		return at
	}
	ip, _ := netip.ParseAddr(unbracket(host))
	return netip.AddrPortFrom(ip, 80)
}

// unbracket takes the brackets off an IPv6 literal; without them, one is no host of a URL.
func unbracket(host string) string {
	if in, ok := strings.CutPrefix(host, "["); ok && strings.HasSuffix(in, "]") && strings.Contains(in, ":") {
		return strings.TrimSuffix(in, "]")
	}
	if strings.Contains(host, ":") {
		return ""
	}
	return host
}
