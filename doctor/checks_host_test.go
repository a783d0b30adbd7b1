package doctor

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"ec2net/metadata"
	"ec2net/plumb"
)

// hostRows are faults of the host.
func hostRows() map[string][]sick {
	throttled := &metadata.Error{Key: "x", Status: 429, Err: metadata.ErrUnavailable}
	return map[string][]sick{
		"config": {{"an error of two lines", func(f *Facts) { f.Config = errors.New("a\nb") }, []string{"fail config : cannot start; a; b; correct the file"}}},
		"cloud": {
			{"none, and nothing was set up", func(f *Facts) { f.Cloud = metadata.CloudNone }, []string{"unknown cloud : no interface was checked"}},
			{"none, and records of one", func(f *Facts) { f.Cloud, f.Recorded = metadata.CloudNone, "azure" }, []string{"unknown cloud : no interface was checked; azure; ec2net --cloud azure doctor"}},
		},
		"kernel": {
			{"the oldest", func(f *Facts) { f.Kernel = "4.18" }, nil},
			{"too old", func(f *Facts) { f.Kernel = "4.17.19-generic" }, []string{"fail kernel : too old; Linux 4.17.19-generic; 4.18 or newer"}},
			{"a larger major number", func(f *Facts) { f.Kernel = "10.0" }, nil},
			{"no number", func(f *Facts) { f.Kernel = "GNU/Hurd" }, []string{"unknown kernel : cannot parse"}},
		},
		"metadata": {
			{"silent", func(f *Facts) { f.Metadata.Err = metadata.ErrUnavailable }, []string{"fail metadata : does not answer; what is set up stays"}},
			{"throttled", func(f *Facts) { f.Metadata.Err = throttled }, []string{"unknown metadata : rate-limits; in a minute"}},
			{"switched off on EC2", func(f *Facts) { f.Metadata.Err = metadata.ErrDisabled }, []string{"fail metadata : switched off; aws ec2 modify-instance-metadata-options"}},
			{"switched off elsewhere", func(f *Facts) { f.Cloud, f.Metadata.Err = metadata.CloudAzure, metadata.ErrDisabled }, []string{"fail metadata : switched off; in the cloud's settings"}},
		},
		"metadata-route": {
			{"refused by a rule", func(f *Facts) {
				f.Metadata = Metadata{Server: addr("169.254.169.254"), Err: metadata.ErrUnavailable, Route: &Answer{Errno: unix.EACCES, End: NoRoute}}
			}, []string{"fail metadata-route : (169.254.169.254) leave by an interface where it does not answer; permission denied; remove that route or rule"}},
			{"locked by systemd, though another rule comes first", func(f *Facts) {
				f.FIB.Routes = append(f.FIB.Routes, Route{Table: unix.RT_TABLE_MAIN, Dst: netip.MustParsePrefix("169.254.169.254/32"), Type: unix.RTN_PROHIBIT, Protocol: unix.RTPROT_STATIC})
				f.Networkd.IMDS = "/run/systemd/network/85-imds-early.network"
				f.Metadata = Metadata{Server: addr("169.254.169.254"), Err: metadata.ErrProhibited, Route: &Answer{End: Forward, Device: 2}}
			}, []string{"fail metadata-route : this host forbids requests to the metadata (169.254.169.254); prohibit 169.254.169.254; systemd-imdsd locks; systemd.imds.network=unlocked on the kernel command line"}},
			{"a route of somebody's", func(f *Facts) {
				f.FIB.Routes = append(f.FIB.Routes, Route{Table: unix.RT_TABLE_MAIN, Dst: netip.MustParsePrefix("169.254.0.0/16"), Type: unix.RTN_PROHIBIT})
				f.Metadata = Metadata{Server: addr("169.254.169.254"), Err: metadata.ErrProhibited}
			}, []string{"fail metadata-route : this host forbids requests to the metadata; prohibit 169.254.0.0/16; remove that route"}},
			{"a rule of somebody's", func(f *Facts) {
				f.FIB.Rules = append(f.FIB.Rules, Rule{Pref: 99, To: netip.MustParsePrefix("169.254.169.254/32"), Action: unix.FR_ACT_PROHIBIT})
				f.Metadata = Metadata{Server: addr("169.254.169.254"), Err: metadata.ErrProhibited}
			}, []string{"fail metadata-route : this host forbids requests to the metadata; 99: from all to 169.254.169.254; permit them"}},
			{"neither", func(f *Facts) {
				f.Metadata = Metadata{Server: addr("169.254.169.254"), Err: metadata.ErrProhibited}
			}, []string{"fail metadata-route : this host forbids requests to the metadata; security module; permit them"}},
			{"it answered with an error, so that the way is right", func(f *Facts) {
				f.Metadata = Metadata{Server: addr("169.254.169.254"), Err: throttled, Route: &Answer{End: NoRoute}}
			}, nil},
			{"other programs, into a tunnel", func(f *Facts) {
				f.FIB.Links = append(f.FIB.Links, Link{Name: "wg0", Index: 9, Kind: "wireguard"})
				f.Metadata = Metadata{Server: addr("169.254.169.254"), Out: 2, Others: &Answer{End: Forward, Device: 9}}
			}, []string{"warn metadata-route : other programs cannot reach the metadata (169.254.169.254); ec2net can, by eth0; exclude its address from the tunnel"}},
			{"other programs, by the primary", func(f *Facts) {
				f.Metadata = Metadata{Server: addr("169.254.169.254"), Out: 2, Others: &Answer{End: Forward, Device: 2}}
			}, nil},
		},
		"refused": {{"both", func(f *Facts) { f.Egress, f.NAT = []error{errors.New("e")}, []error{errors.New("m"), errors.New("n")} },
			[]string{"warn egress : [egress] cannot be applied; e; correct", "warn nat : [nat] cannot be applied; m; n; correct"}}},
		"networkd": {
			{"it does not run", func(f *Facts) { f.Networkd = Networkd{DropsRules: true, DropsRoutes: true} }, nil},
			{"it runs and keeps both", func(f *Facts) { f.Networkd = Networkd{Running: true} }, nil},
			{"rules", func(f *Facts) { f.Networkd = Networkd{Running: true, DropsRules: true} }, []string{"warn networkd : other programs' rules whenever; ManageForeignRoutingPolicyRules=no; [Network]"}},
			{"both", func(f *Facts) { f.Networkd = Networkd{Running: true, DropsRules: true, DropsRoutes: true} },
				[]string{"warn networkd : rules and routes; ManageForeignRoutingPolicyRules=no, ManageForeignRoutes=no"}},
		},
		"programs": {{"one", func(f *Facts) { f.Programs = []Program{{"x", "its file", "does this", "stop it"}} }, []string{"warn program : x does this; its file; stop it"}}},
		"forward": {{"a policy", func(f *Facts) {
			f.Interfaces[1].Want.Rules = []plumb.Rule{natMain("eth0")}
			f.Chains = []Chain{{Family: "ip", Table: "filter", Name: "FORWARD", Drops: true, Legacy: true}}
		}, []string{"fail forward : drops; iptables-legacy -t filter, chain FORWARD: policy drop; iptables-legacy -t filter -I FORWARD -i eth0 -o eth1 -j ACCEPT; iptables-legacy -t filter -I FORWARD -i eth1 -o eth0 -j ACCEPT"}}},
		"room":   {{"none", func(f *Facts) { f.Full = "/run/ec2net" }, []string{"warn room : no space is left in /run/ec2net; df /run/ec2net"}}},
		"orphan": {{"two", func(f *Facts) { f.Orphans = []string{"eth7", "eth8"} }, []string{"warn orphan eth7: ec2net down eth7", "warn orphan eth8: ec2net down eth8"}}},
		"absent": {{"one", func(f *Facts) { f.Missing = []metadata.MAC{{2, 0, 0, 0, 0, 9}} }, []string{"warn absent : 02:00:00:00:00:09; load its driver"}}},
	}
}
