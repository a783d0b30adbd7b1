package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"ec2net/test/lab"

	"github.com/spf13/cobra"
)

// labReport is what "status" shows.
type labReport struct {
	Cloud       string     `json:"cloud"`
	PID         int        `json:"pid"`
	Since       time.Time  `json:"since"`
	Hosts       []hostInfo `json:"hosts"`
	SourceCheck []lab.Drop `json:"source_check"`
	NoPublic    []lab.Drop `json:"no_public_address"`
	Astray      []lab.Drop `json:"not_from_primary"`
	Routes      []string   `json:"routes"`
	Metadata    lab.Stats  `json:"metadata"`
	Faults      faultList  `json:"faults"`
}

type hostInfo struct {
	Name       string          `json:"name"`
	Interfaces []interfaceInfo `json:"interfaces"`
}

type interfaceInfo struct {
	lab.Interface
	Traffic lab.Traffic
	VF      lab.VF
}

func (s *server) report() (r labReport, err error) {
	r = labReport{Cloud: string(s.cloud.Provider()), PID: os.Getpid(), Since: s.started, Metadata: s.cloud.IMDS().Stats(), Faults: s.faults()}
	for _, n := range s.cloud.Nodes() {
		h := hostInfo{Name: n.Name}
		for _, k := range s.cloud.InterfacesOf(n) {
			t, err := s.cloud.Traffic(k.ID)
			if err != nil {
				return r, err
			}
			v, err := s.cloud.VFOf(k.ID)
			if err != nil {
				return r, err
			}
			h.Interfaces = append(h.Interfaces, interfaceInfo{k, t, v})
		}
		r.Hosts = append(r.Hosts, h)
	}
	for _, route := range s.cloud.Routes() {
		r.Routes = append(r.Routes, route.String())
	}
	if r.SourceCheck, err = s.cloud.SourceCheck(); err != nil {
		return r, err
	}
	if r.Astray, err = s.cloud.Astray(); err != nil {
		return r, err
	}
	r.NoPublic, err = s.cloud.NoPublicAddress()
	return r, err
}

func statusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the lab: hosts, interfaces, what was dropped, faults at work",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r labReport
			if err := askLab(cmd, "status", struct{}{}, &r); err != nil {
				return fmt.Errorf("status: %w", err)
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), r)
			}
			return r.write(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for machines")
	return cmd
}

// writeLine writes JSON in one line.
func writeLine(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func (r labReport) write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s, up since %s, process %d\n\n", r.Cloud, r.Since.Format(time.DateTime), r.PID)
	fmt.Fprintln(w, "HOST\tINTERFACE\tMAC\tENI\tDEVICE\tSUBNET\tADDRESSES\tOUT\tIN")
	for _, h := range r.Hosts {
		if len(h.Interfaces) == 0 {
			fmt.Fprintf(w, "%s\n", h.Name)
		}
		for _, k := range h.Interfaces {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%d\t%d\n", h.Name, k.Name, k.MAC, k.ID, k.DeviceNumber, k.Subnet,
				strings.Join(addressesOf(k.Interface), " "), k.Traffic.FromInterface, k.Traffic.ToInterface)
		}
	}
	r.writeAround(w)
	m := r.Metadata
	fmt.Fprintf(w, "\nmetadata: %d requests on %d connections, %d tokens\n", m.Requests, m.Connections, m.Tokens)
	for _, d := range r.SourceCheck {
		fmt.Fprintln(w, tellDrop(d))
	}
	for _, d := range r.NoPublic {
		fmt.Fprintf(w, "%d packets from %s by %s did not reach the internet: the interface has no public address for it\n", d.Packets, d.Source, d.Interface)
	}
	for _, d := range r.Astray {
		fmt.Fprintf(w, "%d packets from %s by %s did not reach the host's servers: they answer the primary interface's primary address\n", d.Packets, d.Source, d.Interface)
	}
	r.Faults.write(w)
	return w.Flush()
}

// writeAround writes what lies beside the interfaces: VFs and the subnets' own routes.
func (r labReport) writeAround(w io.Writer) {
	for _, h := range r.Hosts {
		for _, k := range h.Interfaces {
			if k.VF.Attached {
				fmt.Fprintln(w, describeVF(k.Name, k.VF))
			}
		}
	}
	for _, route := range r.Routes {
		fmt.Fprintln(w, route)
	}
}

// addressesOf lists an interface's addresses and prefixes, with the elastic IPs.
func addressesOf(k lab.Interface) (out []string) {
	for _, a := range slices.Concat(k.Addrs4, k.Addrs6) {
		text := a.String()
		if public, ok := k.EIPs[a]; ok {
			text += "=" + public.String()
		}
		out = append(out, text)
	}
	for _, p := range slices.Concat(k.Prefixes4, k.Prefixes6) {
		out = append(out, p.String())
	}
	return out
}

// logLine is something that a client asked the metadata or the DHCP server.
type logLine struct {
	Time time.Time
	Text string
}

func (s *server) log(since time.Time) (out []logLine) {
	for _, r := range s.cloud.IMDS().Requests(since) {
		code := fmt.Sprint(r.Status)
		if r.Status == 0 {
			code = "cut off"
		}
		out = append(out, logLine{r.Time, fmt.Sprintf("metadata  %-8s %s %s: %s", by(r.Interface), r.Method, r.Path, code)})
	}
	for _, m := range s.cloud.DHCP().Messages(since) {
		reply := m.Reply
		if reply == "" {
			reply = "nothing"
		}
		kind := strings.TrimSpace(m.Type + " " + strings.ToLower(m.State))
		out = append(out, logLine{m.Time, fmt.Sprintf("dhcp      %-8s %s: %s", by(m.Interface), kind, reply)})
	}
	slices.SortStableFunc(out, func(a, b logLine) int { return a.Time.Compare(b.Time) })
	return out
}

func by(iface string) string {
	if iface == "" {
		return "?"
	}
	return iface
}

func logCommand() *cobra.Command {
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Show what was asked of the metadata and the DHCP server",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var lines []logLine
			if err := askLab(cmd, "log", time.Now().Add(-since), &lines); err != nil {
				return fmt.Errorf("log: %w", err)
			}
			for _, l := range lines {
				fmt.Fprintf(cmd.OutOrStdout(), "%s  %s\n", l.Time.Format("15:04:05.000"), l.Text)
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&since, "since", time.Hour, "how far back")
	return cmd
}
