package agent

import (
	"net/netip"

	"ec2net/config"
	"ec2net/metadata"
)

// services are the cloud's own servers that need rules of their own on the primary interface; only [egress] would lead
// their traffic elsewhere.
func services(c metadata.Cloud, conf config.Config) []netip.Addr {
	if len(conf.Egress.Interfaces) == 0 {
		return nil
	}
	return c.Traits().Servers
}
