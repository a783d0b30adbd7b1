module ec2net

go 1.26.0

require (
	github.com/aws/aws-sdk-go-v2 v1.47.7
	github.com/aws/aws-sdk-go-v2/feature/ec2/imds v1.20.7 // the EC2 metadata client (fixed choice)
	github.com/aws/smithy-go v1.28.8 // indirect
	github.com/coreos/go-systemd/v22 v22.7.0 // sd_notify and the journal (fixed choice)
	github.com/google/go-cmp v0.7.0 // readable differences in tests
	github.com/google/nftables v0.3.0 // the nftables table of an interface, and of the lab, without the nft program
	github.com/insomniacslk/dhcp v0.0.0-20260901064844-234b97448fae // DHCPv4 packet codec; the state machine is ours; no tags exist
	github.com/mdlayher/packet v1.2.0 // AF_PACKET sockets with a BPF filter, on the runtime poller
	github.com/pelletier/go-toml/v2 v2.4.3 // the parser of TOML, with line and column; what is allowed in the file, config says
	github.com/rogpeppe/go-internal v1.16.0 // testscript.Main: the test binary is also the program, by each of its names
	github.com/sirupsen/logrus v1.10.2 // logging (fixed choice)
	github.com/spf13/cobra v1.10.2 // commands, help and shell completions from one description
	github.com/vishvananda/netlink v1.3.1 // rtnetlink (fixed choice)
	github.com/vishvananda/netns v0.0.5 // network namespaces for the lab and the tests
	golang.org/x/net v0.62.0 // bpf assembler; icmp, ipv4 and ipv6 for the lab
	golang.org/x/sys v0.49.0
)

require (
	github.com/godbus/dbus/v5 v5.1.0 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/josharian/native v1.1.0 // indirect
	github.com/mdlayher/netlink v1.7.3-0.20250113171957-fbb4dce95f42 // indirect
	github.com/mdlayher/socket v0.7.0 // indirect
	github.com/pierrec/lz4/v4 v4.1.14 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
	github.com/u-root/uio v0.0.0-20230220225925-ffce2a382923 // indirect
	golang.org/x/sync v0.23.0 // indirect
	golang.org/x/tools v0.26.0 // indirect
)
