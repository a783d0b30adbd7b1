package dhcp

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Owner says which other program already does DHCP on an interface, or manages its addresses.
type Owner struct {
	Program string // "NetworkManager", "dhclient", …
	Why     string // what it was recognised by
	Pending bool   // the program runs, and has not decided about this interface yet: look again soon
	ForAll  bool   // it takes every interface that it notices; nothing shows that it has noticed this one
}

// FindOwner looks for the owner of an interface. It reads files only, /proc among them, and asks no
// program: root is os.DirFS("/") but in tests. A file that a program left behind when it ended
// makes no owner, nor does a program in another network namespace, nor this process. Where root
// has no /proc the files are believed. A definite owner goes before a pending one.
func FindOwner(root fs.FS, name string, index int) (Owner, bool) {
	return ReadPrograms(root).Owner(name, index)
}

// host is the file tree, and the interface in question.
type host struct {
	root  fs.FS
	name  string
	index int
	procs []process // nil: there is no /proc
}

// networkManager: it writes a file for an interface once that is connected, disconnected or unmanaged. An interface
// that it shows as "connected (externally)" has a connection, too, made up of what NetworkManager found on it: its
// own DHCP is not.
func (h host) networkManager() (Owner, bool) {
	if !h.alive("NetworkManager") {
		return Owner{}, false
	}
	file := "run/NetworkManager/devices/" + strconv.Itoa(h.index)
	text, err := h.read(file)
	set := keys(text)
	switch {
	case err != nil && h.procs == nil:
		return Owner{}, false // no file and nobody to write one
	case err != nil:
		return waitingFor("NetworkManager", file, "is not there yet")
	case set["managed"] == "false", h.external(set["connection-uuid"]):
		return Owner{}, false
	case set["connection-uuid"] != "":
		return Owner{Program: "NetworkManager", Why: "/" + file + ": connection-uuid=" + shown(set["connection-uuid"])}, true
	}
	return waitingFor("NetworkManager", file, "names no connection yet")
}

// external: NetworkManager made the connection up of what it found configured by others. Its file says so in the section
// .nmmeta (NM_KEYFILE_KEY_NMMETA_EXTERNAL in NetworkManager's source). That of 1.30 (Debian 11) has no such section, and
// its nmcli forgets it at the next start: there the connection is known by its form, which is below /run, named by the
// interface, never activated by itself, and without DHCP.
func (h host) external(uuid string) bool {
	files, _ := fs.Glob(h.root, "run/NetworkManager/system-connections/*.nmconnection")
	return slices.ContainsFunc(files, func(f string) bool {
		text, _ := h.read(f)
		set := keys(text)
		return set["uuid"] == uuid && (set["external"] == "true" || h.madeUp(text))
	})
}

func (h host) madeUp(profile string) bool {
	connection, ipv4 := keys(part(profile, "connection")), keys(part(profile, "ipv4"))
	if strings.Contains(profile, "[.nmmeta]") || connection["id"] != h.name || connection["interface-name"] != h.name {
		return false
	}
	return connection["autoconnect"] == "false" && (ipv4["method"] == "manual" || ipv4["method"] == "disabled")
}

func (h host) networkd() (Owner, bool) {
	const daemon = "systemd-networkd"
	if !h.alive(daemon) {
		return Owner{}, false
	}
	file := "run/systemd/netif/links/" + strconv.Itoa(h.index)
	text, err := h.read(file)
	set := keys(text)
	switch state := set["ADMIN_STATE"]; {
	case err != nil && h.procs == nil:
		return Owner{}, false
	case err != nil:
		return waitingFor(daemon, file, "is not there yet")
	case state == "pending" || state == "initialized":
		return waitingFor(daemon, file, "says "+state)
	case set["NETWORK_FILE"] != "" && (state == "configuring" || state == "configured" || state == "failed"):
		return Owner{Program: daemon, Why: "/" + file + ": " + state + " by " + shown(set["NETWORK_FILE"])}, true
	}
	return Owner{}, false
}

// ifupdown keeps one file for all interfaces and one for each. It does not run: what it started does.
func (h host) ifupdown() (Owner, bool) {
	for _, dir := range []string{"run/network/", "var/run/network/"} {
		all, _ := h.read(dir + "ifstate")
		if logical := keys(all)[h.name]; logical != "" {
			return Owner{Program: "ifupdown", Why: "/" + dir + "ifstate: " + h.name + "=" + shown(logical)}, true
		}
		if one, _ := h.read(dir + "ifstate." + h.name); strings.TrimSpace(one) != "" {
			return Owner{Program: "ifupdown", Why: "/" + dir + "ifstate." + h.name + ": " + shown(strings.TrimSpace(one))}, true
		}
	}
	return Owner{}, false
}

// wicked configures the interfaces that have a configuration file.
func (h host) wicked() (Owner, bool) {
	if !h.alive("wickedd") {
		return Owner{}, false
	}
	for _, file := range []string{
		"run/wicked/leaseinfo." + h.name + ".dhcp.ipv4",
		"run/wicked/leaseinfo." + h.name + ".static.ipv4",
		"etc/sysconfig/network/ifcfg-" + h.name,
	} {
		if _, err := fs.Stat(h.root, file); err == nil {
			return Owner{Program: "wicked", Why: "wickedd runs, and /" + file + " is there"}, true
		}
	}
	return Owner{}, false
}

// connman takes every Ethernet interface that its blacklist does not name by a prefix.
func (h host) connman() (Owner, bool) {
	const file = "etc/connman/main.conf"
	if h.procs == nil || !h.alive("connmand") {
		return Owner{}, false
	}
	text, _ := h.read(file)
	for _, prefix := range words(keys(text)["NetworkInterfaceBlacklist"]) {
		if strings.HasPrefix(h.name, prefix) {
			return Owner{}, false
		}
	}
	return Owner{Program: "connman", Why: "connmand runs, and /" + file + " does not exclude the interface", ForAll: true}, true
}

// dhcpcdTakes says whether dhcpcd.conf leaves an interface to a dhcpcd that was started for all interfaces.
func (h host) dhcpcdTakes() bool {
	text, _ := h.read("etc/dhcpcd.conf")
	allowed, limited := false, false
	for line := range strings.Lines(text) {
		f := words(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		switch f[0] {
		case "interface", "profile", "ssid":
			return !limited || allowed // what follows is about one interface
		case "denyinterfaces":
			if matches(f[1:], h.name) {
				return false
			}
		case "allowinterfaces":
			limited, allowed = true, allowed || matches(f[1:], h.name)
		}
	}
	return !limited || allowed
}

func matches(patterns []string, name string) bool {
	for _, p := range patterns {
		if ok, err := path.Match(p, name); ok && err == nil {
			return true
		}
	}
	return false
}

func (h host) read(file string) (string, error) {
	b, err := fs.ReadFile(h.root, file)
	return string(b), err
}

func waitingFor(program, file, what string) (Owner, bool) {
	return Owner{Program: program, Why: fmt.Sprintf("%s runs, and /%s %s", program, file, what), Pending: true}, true
}

// keys reads "key=value" lines; sections and comments fall away.
func keys(text string) map[string]string {
	set := make(map[string]string)
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(k, "#") {
			set[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	return set
}

// part is a section of a file of that form; "": there is none.
func part(text, section string) string {
	_, rest, _ := strings.Cut("\n"+text, "\n["+section+"]\n")
	one, _, _ := strings.Cut(rest, "\n[")
	return one
}

// words splits at blanks and commas.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" \t\n\r,", r) })
}

// shown bounds what a file says, for a log line.
func shown(s string) string {
	if q := fmt.Sprintf("%.100q", s); q != `"`+s+`"` {
		return q
	}
	return s
}
