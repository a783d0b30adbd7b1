package doctor

import (
	"net/netip"
	"time"

	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
	"ec2net/state"
)

// Facts are all that the checks decide from. What could not be learned is in Gaps.
type Facts struct {
	FIB        FIB
	Cloud      metadata.Cloud
	Metadata   Metadata
	Interfaces []Interface
	Recorded   metadata.Cloud // that the records are of; empty: there are none
	Full       string         // the folder of the records, where there is no room left; empty: there is
	Orphans    []string       // interfaces that are gone, and of which something is left
	Missing    []metadata.MAC
	Programs   []Program
	Chains     []Chain // that see what is passed on
	Networkd   Networkd
	Kernel     string  // its release, as uname(2) says it
	Primary    string  // name of the primary interface, where it is set up
	Egress     []error // interfaces that the configuration wants the host to leave by, and that cannot have that
	NAT        []error // what of [nat] cannot be meant
	Config     error   // why the configuration file does not count; nil: it does
	Gaps       map[string]string
	Now        time.Time
}

// Metadata is how asking the cloud went.
type Metadata struct {
	Server netip.Addr // that was asked; invalid: unknown
	Err    error      // nil: it answered
	Out    int        // ifindex of the device that it is asked by; 0: the one that the routing says
	Route  *Answer    // where such packets leave; nil: not known
	Others *Answer    // where those of programs leave that go by the routing; nil: not known
}

// Source says whence it is known what the cloud grants an interface.
type Source string

// The sources, the best first.
const (
	FromMetadata Source = "metadata"
	FromRecord   Source = "an earlier reading"
	FromLease    Source = "the lease alone"
	Nowhere      Source = ""
)

// Interface is one network interface of the cloud.
type Interface struct {
	Name       string
	Index      int
	MAC        metadata.MAC
	Managed    bool // ec2net sets up all of it
	Primary    bool
	Granted    metadata.Interface
	Source     Source
	Problems   []error       // what the metadata says and is not believed
	SetUp      bool          // something of ours is there, or a record
	Unsaved    string        // why its record is out of date or missing; empty: it is neither
	Waiting    string        // what an interface that is not ready yet waits for
	RolledBack []string      // what its last change cut off, which is why the change was taken back
	Egress     *state.Egress // whether the host's own traffic leaves by it; nil: nobody asked for that
	Degraded   string        // why it runs on its lease alone; empty: it does not
	Have       plumb.Snapshot
	Want       plumb.State
	Refused    error      // what Want had to leave out
	Plan       plumb.Plan // from Have to Want
	ReadAt     time.Time  // of the last reading that ec2net made
	Refresh    time.Duration
	Leasing    string      // who has the lease: "native", "off", or a program
	Lease      *dhcp.Lease // of our own client
	Hosts      bool        // the host itself lives by that lease: nobody else configures the interface
	Sandbox    Sandbox     // of the process that keeps it
	Unread     string      // why the kernel would not tell its state; empty: it did
	AgentPID   int         // process that keeps the interface; 0: none
	Stopped    string      // that this process is stopped, and what continues it; empty: it is not
	Unit       string      // that keeps the interface; empty: it is not installed, or systemd does not run
	State      string      // of the unit, as systemd says it; empty: not known
	Outdated   bool        // the configuration was changed after it had been read by that process
	Alone      bool        // the configuration leaves it alone (manage = false)
	Died       bool        // the process that kept it did not end by itself
	Manager    string      // the program that configures the interface, or is to; empty: none
	Owner      *dhcp.Owner // another program that has the interface now
	Probes     []Probe
}

// Sandbox is what a process may not do (proc_pid_status(5)).
type Sandbox struct {
	Unit            bool // it was started by its unit
	NoNewPrivileges bool
	Filtered        bool // its system calls are (seccomp)
}

// Probe is what the kernel says of a conversation with one of the interface's addresses.
type Probe struct {
	Src, Peer netip.Addr
	Leaves    Answer // of the packet from Src to Peer
	Enters    Answer // of the packet from Peer to Src that comes in by the interface
}

// Program is another one that configures network interfaces.
type Program struct {
	Name string // "cloud-init", …
	Why  string // what it was recognised by
	Does string // what it does that gets in the way
	Cure string // how to keep it off
}

// Networkd is systemd-networkd, as far as it touches what others made.
type Networkd struct {
	Running                 bool
	DropsRules, DropsRoutes bool // whenever it starts, what it did not make itself
	// IMDS is the file by which systemd-imdsd (systemd 261 and later) has it set up the way to the metadata; empty: there
	// is none. In the mode "locked" that way is systemd-imdsd's alone.
	IMDS string
}

// addrs are the addresses that the cloud grants the interface.
func (c Interface) addrs() []netip.Addr {
	return append(append([]netip.Addr{}, c.Granted.Addrs4.Value...), c.Granted.Addrs6.Value...)
}

// table is the interface's own table.
func (c Interface) table() uint32 {
	granted, have := c.Granted, c.Have
	if c.Source == FromLease {
		granted = metadata.Interface{}
	}
	have.Index = c.Index
	return plumb.Table(have.Number(granted))
}

// hasRules: the interface answers by rules of its own. A primary one that is alone needs none.
func (c Interface) hasRules() bool { return len(c.Want.Rules) > 0 }
