package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	known          = `known here: manage, dhcp, main_table, prefixes, replies, refresh, release, wait, metrics_file and priority`
	knownInterface = `known here: manage, dhcp, main_table, prefixes, replies, refresh, release, wait, name, mac, eni, device_number, network_card and driver`
	natAllows      = `an IPv4 subnet, such as "172.22.5.128/26", or a list of up to 32 of them`
	egressAllows   = `an interface name, such as "eth2", or a list of up to 16 of them in order of preference`
	noMatch        = `this section does not say which interfaces it is for; add name, mac, eni, device_number, network_card or driver`
)

func natFrom(list string) string { return "[nat]\nout = \"eth2\"\nfrom = [" + list + "]" }

// badFiles are texts and all that is said of them, "x.toml:" left out.
var badFiles = []struct {
	name, text string
	want       []string
}{
	{"misspelt key", "manag = true", []string{`1:1: unknown key "manag"; did you mean manage?`}},
	{"dash for underscore", "\n main-table = true", []string{`2:2: unknown key "main-table"; did you mean main_table?`}},
	{"capitals", "DHCP = \"off\"", []string{`1:1: unknown key "DHCP"; did you mean dhcp?`}},
	{"swapped letters", "dchp = \"off\"", []string{`1:1: unknown key "dchp"; did you mean dhcp?`}},
	{"key of nowhere", "copies = \"local\"", []string{`1:1: unknown key "copies"; ` + known}},
	{"empty key", "'' = 1", []string{`1:1: unknown key ""; ` + known}},
	{"hostile key", `"a\u001b[31m\nb" = 1`, []string{`1:1: unknown key "a\x1b[31m\nb"; ` + known}},
	{"dotted key", "manage . full = true", []string{`1:1: unknown key "manage.full"; ` + known}},
	{"misspelt match key", "[[interface]]\nname = \"eth1\"\ndevice-number = 1", []string{`3:1: unknown key "device-number"; did you mean device_number?`}},
	{"unknown key in a section", "[[interface]]\nname = \"eth1\"\nmtu = 1500", []string{`3:1: unknown key "mtu"; ` + knownInterface}},
	{"match key at the top", "name = \"eth1\"", []string{`1:1: name selects interfaces: put it in an [[interface]] section`}},
	{"set twice", "manage = true\n\nmanage = false", []string{`3:1: "manage" is set twice, first on line 1`}},
	{"set twice, quoted", "manage = true\n  \"manage\" = true", []string{`2:3: "manage" is set twice, first on line 1`}},
	{"set three times", "wait = \"1s\"\nwait = \"1s\"\nwait = \"1s\"", []string{`2:1: "wait" is set twice, first on line 1`, `3:1: "wait" is set twice, first on line 1`}},
	{"matched twice", "[[interface]]\nname = \"a\"\nname = \"b\"", []string{`3:1: "name" is set twice, first on line 2`}},

	{"section for no interface", "[[interface]]\nmanage = false", []string{`1:3: ` + noMatch}},
	{"empty sections", "[[interface]]\n [[ interface ]]", []string{`1:3: ` + noMatch, `2:5: ` + noMatch}},
	{"unknown section", "[[interfaces]]\nname = 1\nfoo = 2", []string{`1:3: unknown section "interfaces"; the sections are [[interface]], [egress] and [nat]`}},
	{"later section", "[dns]\nfrom = []", []string{`1:2: unknown section "dns"; the sections are [[interface]], [egress] and [nat]`}},
	{"section in a section", "[[interface]]\nname = \"a\"\n[interface.x]\ny = 1", []string{`3:2: unknown section "interface.x"; the sections are [[interface]], [egress] and [nat]`}},
	{"one bracket", "[interface]\nname = \"a\"\nfoo = 1", []string{`1:2: write an interface's section with two brackets: [[interface]]`, `3:1: unknown key "foo"; ` + knownInterface}},
	{"dotted interface", "interface.name = \"eth1\"", []string{`1:1: put an interface's settings in a section of their own, below a line [[interface]]`}},
	{"interface as a list", "interface = [{name = \"eth1\"}]", []string{`1:1: put an interface's settings in a section of their own, below a line [[interface]]`}},

	{"manage: word", `manage = "yes"`, []string{`1:10: manage cannot be "yes": unknown value; allowed: true, "link-up" or false`}},
	{"manage: quotes", `manage = "True"`, []string{`1:10: manage cannot be "True": write true without quotes; allowed: true, "link-up" or false`}},
	{"manage: capitals", `manage = "Link-Up"`, []string{`1:10: manage cannot be "Link-Up": write it in small letters; allowed: true, "link-up" or false`}},
	{"manage: number", `manage = 0`, []string{`1:10: manage cannot be 0: a number; allowed: true, "link-up" or false`}},
	{"manage: list", "manage = [\ntrue\n]", []string{`1:10: manage cannot be […]: a list; allowed: true, "link-up" or false`}},
	{"manage: table", "manage = {a = 1}", []string{`1:10: manage cannot be {…}: a table; allowed: true, "link-up" or false`}},
	{"dhcp: boolean", `dhcp = true`, []string{`1:8: dhcp cannot be true: a boolean; allowed: "auto", "native" or "off"`}},
	{"dhcp: empty", `dhcp = ""`, []string{`1:8: dhcp cannot be "": unknown value; allowed: "auto", "native" or "off"`}},
	{"dhcp: date", `dhcp = 2026-11-21`, []string{`1:8: dhcp cannot be 2026-11-21: a date or a time of day; allowed: "auto", "native" or "off"`}},
	{"main_table: text", `main_table = "false"`, []string{`1:14: main_table cannot be "false": write false without quotes; allowed: true or false`}},
	{"prefixes: unknown", `prefixes = "all"`, []string{`1:12: prefixes cannot be "all": unknown value; allowed: "rules", "local" or "off"`}},
	{"replies: unknown", `replies = "by-mark"`, []string{`1:11: replies cannot be "by-mark": unknown value; allowed: "by-source" or "by-interface"`}},
	{"replies: capitals", `replies = "By-Interface"`, []string{`1:11: replies cannot be "By-Interface": write it in small letters; allowed: "by-source" or "by-interface"`}},
	{"prefixes: switch", `prefixes = false`, []string{`1:12: prefixes cannot be false: a boolean; allowed: "rules", "local" or "off"`}},
	{"main_table: other text", `main_table = "no"`, []string{`1:14: main_table cannot be "no": unknown value; allowed: true or false`}},
	{"refresh: number", `refresh = 30`, []string{`1:11: refresh cannot be 30: a number; allowed: a time from "1s" to "1h", such as "30s"`}},
	{"refresh: float", `refresh = -1.5`, []string{`1:11: refresh cannot be -1.5: a number with a fraction; allowed: a time from "1s" to "1h", such as "30s"`}},
	{"refresh: no unit", `refresh = "30"`, []string{`1:11: refresh cannot be "30": not a time with a unit; allowed: a time from "1s" to "1h", such as "30s"`}},
	{"refresh: blank", `refresh = "30 s"`, []string{`1:11: refresh cannot be "30 s": not a time with a unit; allowed: a time from "1s" to "1h", such as "30s"`}},
	{"refresh: short", `refresh = "999ms"`, []string{`1:11: refresh cannot be "999ms": too short; allowed: a time from "1s" to "1h", such as "30s"`}},
	{"refresh: negative", `refresh = "-1m"`, []string{`1:11: refresh cannot be "-1m": too short; allowed: a time from "1s" to "1h", such as "30s"`}},
	{"refresh: long", `refresh = "1h1ns"`, []string{`1:11: refresh cannot be "1h1ns": too long; allowed: a time from "1s" to "1h", such as "30s"`}},
	{"refresh: overflow", `refresh = "9999999999h"`, []string{`1:11: refresh cannot be "9999999999h": not a time with a unit; allowed: a time from "1s" to "1h", such as "30s"`}},
	{"refresh: time of day", `refresh = 00:00:30`, []string{`1:11: refresh cannot be 00:00:30: a date or a time of day; allowed: a time from "1s" to "1h", such as "30s"`}},
	{"wait: none", `wait = "0"`, []string{`1:8: wait cannot be "0": too short; allowed: a time from "1s" to "1h", such as "2m"`}},
	{"wait: endless value", `wait = "` + strings.Repeat("9", 5000) + `"`, []string{`1:8: wait cannot be "` + strings.Repeat("9", 60) + `": not a time with a unit; allowed: a time from "1s" to "1h", such as "2m"`}},

	{"name: number", "[[interface]]\nname = 1", []string{`2:8: name cannot be 1: a number; allowed: an interface name or a pattern, such as "eth1" or "eth*"`}},
	{"name: empty", "[[interface]]\nname = \"\"", []string{`2:8: name cannot be "": empty; allowed: an interface name or a pattern, such as "eth1" or "eth*"`}},
	{"name: long", "[[interface]]\nname = \"abcdefghijklmnop\"", []string{`2:8: name cannot be "abcdefghijklmnop": longer than 15 bytes; allowed: an interface name or a pattern, such as "eth1" or "eth*"`}},
	{"name: slash", "[[interface]]\nname = \"eth/*\"", []string{`2:8: name cannot be "eth/*": contains '/'; allowed: an interface name or a pattern, such as "eth1" or "eth*"`}},
	{"name: list of two", "[[interface]]\nname = \"eth1 eth2\"", []string{`2:8: name cannot be "eth1 eth2": contains white space (U+0020); allowed: an interface name or a pattern, such as "eth1" or "eth*"`}},
	{"name: open class", "[[interface]]\nname = \"eth[0-\"", []string{`2:8: name cannot be "eth[0-": malformed pattern; allowed: an interface name or a pattern, such as "eth1" or "eth*"`}},
	{"name: shell's not", "[[interface]]\nname = \"eth[!0]\"", []string{`2:8: name cannot be "eth[!0]": [! is written [^ here; allowed: an interface name or a pattern, such as "eth1" or "eth*"`}},
	{"name: endless pattern", "[[interface]]\nname = \"" + strings.Repeat("*", 65) + "\"", []string{`2:8: name cannot be "` + strings.Repeat("*", 60) + `": longer than 64 bytes; allowed: an interface name or a pattern, such as "eth1" or "eth*"`}},
	{"mac: short", "[[interface]]\nmac = \"02:00:00:00:00\"", []string{`2:7: mac cannot be "02:00:00:00:00": malformed; allowed: a MAC address, such as "02:00:00:00:00:0a"`}},
	{"mac: zero", "[[interface]]\nmac = \"00:00:00:00:00:00\"", []string{`2:7: mac cannot be "00:00:00:00:00:00": no interface has it; allowed: a MAC address, such as "02:00:00:00:00:0a"`}},
	{"mac: multicast", "[[interface]]\nmac = \"ff:ff:ff:ff:ff:ff\"", []string{`2:7: mac cannot be "ff:ff:ff:ff:ff:ff": a multicast address; allowed: a MAC address, such as "02:00:00:00:00:0a"`}},
	{"mac: number", "[[interface]]\nmac = 0x0200_0000_000a", []string{`2:7: mac cannot be 0x0200_0000_000a: a number; allowed: a MAC address, such as "02:00:00:00:00:0a"`}},
	{"eni: no id", "[[interface]]\neni = \"i_0123\"", []string{`2:7: eni cannot be "i_0123": malformed; allowed: the id of an interface, such as "eni-0123456789abcdef0"`}},
	{"eni: capitals", "[[interface]]\neni = \"ENI-0ABC\"", []string{`2:7: eni cannot be "ENI-0ABC": write it in small letters; allowed: the id of an interface, such as "eni-0123456789abcdef0"`}},
	{"eni: two lines", "[[interface]]\neni = \"eni-0\\neni-1\"", []string{`2:7: eni cannot be "eni-0\neni-1": malformed; allowed: the id of an interface, such as "eni-0123456789abcdef0"`}},
	{"device_number: 100", "[[interface]]\ndevice_number = 100", []string{`2:17: device_number cannot be 100: out of range; allowed: a number from 0 to 99`}},
	{"device_number: -1", "[[interface]]\ndevice_number = -1", []string{`2:17: device_number cannot be -1: out of range; allowed: a number from 0 to 99`}},
	{"device_number: text", "[[interface]]\ndevice_number = \"1\"", []string{`2:17: device_number cannot be "1": text; allowed: a number from 0 to 99`}},
	{"network_card: huge", "[[interface]]\nnetwork_card = 99999999999999999999", []string{`2:16: network_card cannot be 99999999999999999999: out of range; allowed: a number from 0 to 99`}},
	{"device_number: not octal", "[[interface]]\ndevice_number = 010\nmanage = 1", []string{`2:17: invalid TOML: "010" is not a value; write text in quotes; device_number allows a number from 0 to 99`, `3:10: manage cannot be 1: a number; allowed: true, "link-up" or false`}},
	{"device_number: prefix in capitals", "[[interface]]\ndevice_number = 0X10", []string{`2:17: invalid TOML: "0X10" is not a value; write text in quotes; device_number allows a number from 0 to 99`}},
	{"device_number: two underscores", "[[interface]]\ndevice_number = 1__0", []string{`2:17: invalid TOML: "1__0" is not a value; write text in quotes; device_number allows a number from 0 to 99`}},
	{"network_card: float", "[[interface]]\nnetwork_card = 1.0", []string{`2:16: network_card cannot be 1.0: a number with a fraction; allowed: a number from 0 to 99`}},
	{"driver: blank", "[[interface]]\ndriver = \"e na\"", []string{`2:10: driver cannot be "e na": malformed; allowed: a driver's name as "ethtool -i" shows it, such as "ena"`}},

	{"word without quotes", "manage = no # please", []string{`1:10: invalid TOML: "no" is not a value; write text in quotes; manage allows true, "link-up" or false`}},
	{"words without quotes", "dhcp = native\r\nrefresh = 30s\n[[interface]]\nname = eth*\nmac = 02:00:00:00:00:0a\n", []string{
		`1:8: invalid TOML: "native" is not a value; write text in quotes; dhcp allows "auto", "native" or "off"`,
		`2:11: invalid TOML: "30s" is not a value; write text in quotes; refresh allows a time from "1s" to "1h", such as "30s"`,
		`4:8: invalid TOML: "eth*" is not a value; write text in quotes; name allows an interface name or a pattern, such as "eth1" or "eth*"`,
		`5:7: invalid TOML: "02:00:00:00:00:0a" is not a value; write text in quotes; mac allows a MAC address, such as "02:00:00:00:00:0a"`,
	}},
	{"metrics_file: bare word", "metrics_file = /run/ec2net.prom", []string{`1:16: invalid TOML: "/run/ec2net.prom" is not a value; write text in quotes; ` +
		`metrics_file allows an absolute path that ends in ".prom", such as "/var/lib/prometheus/node-exporter/ec2net.prom"`}},
	{"unknown key, word without quotes", "mtu = auto", []string{`1:7: invalid TOML: "auto" is not a value; write text in quotes`}},
	{"no value", "manage =", []string{`1:8: invalid TOML: expected value, not end of input`}},
	{"no equals sign", "# c\n\nmanage true\nfoo = 1", []string{`3:8: invalid TOML: expected '=' after key`, `4:1: unknown key "foo"; ` + known}},
	{"shell style", "export X=1", []string{`1:8: invalid TOML: expected '=' after key`}},
	{"two on one line", `manage = true dhcp = "off"`, []string{`1:15: invalid TOML: expected newline but got U+0064 'd'`}},
	{"open quote, and more below", "dhcp = \"off\nfoo = 1", []string{`1:12: invalid TOML: basic strings cannot have new lines`, `2:1: unknown key "foo"; ` + known}},
	{"broken header hides its keys only", "[[interface]\nfoo = 1\n[[interface]]\nfoo = 1", []string{`1:12: invalid TOML: expected ']]' to close array table name`, `3:3: ` + noMatch, `4:1: unknown key "foo"; ` + knownInterface}},
	{"broken match key is a match key", "[[interface]]\nname = \"eth0\nmanage = false", []string{`2:13: invalid TOML: basic strings cannot have new lines`}},
	{"open list hides the rest", "foo = 1\nbar = [1,\nbaz\nqux = 1", []string{`1:1: unknown key "foo"; ` + known, `3:1: invalid TOML: unexpected character U+0062 'b' at start of value`}},
	{"open text hides the rest", "foo = \"\"\"\nbar\nbaz = 1", []string{`3:7: invalid TOML: multiline basic string not terminated by """`}},
	{"NUL", "manage = true\x00", []string{`1:14: invalid TOML: expected newline but got U+0000`}},
	{"NUL in a comment", "# a\x00b\nfoo = 1", []string{`1:4: invalid TOML: control characters are not allowed in comments`, `2:1: unknown key "foo"; ` + known}},
	{"only NUL", "\x00\x00", []string{`1:1: invalid TOML: invalid character at start of key: U+0000`}},
	{"carriage returns only", "manage = true\rdhcp = 1", []string{`1:14: invalid TOML: expected newline but got U+000D`}},
	{"blanks that are none", "\x0b\nfoo = 1\n\u00a0\n# a\x7f\nmtu = 1", []string{
		`1:1: invalid TOML: invalid character at start of key: U+000B`, `2:1: unknown key "foo"; ` + known,
		`3:1: invalid TOML: invalid character at start of key: U+00C2 'Â'`,
		`4:4: invalid TOML: control characters are not allowed in comments`, `5:1: unknown key "mtu"; ` + known}},
	{"not UTF-8", "# caf\xe9\nfoo = 1", []string{`1:6: not UTF-8 text (byte 0xe9)`}},
	{"UTF-16", "\xff\xfem\x00", []string{`1:1: not UTF-8 text (byte 0xff)`}},
	{"column counts characters", "dhcp = \"äöü\" 7", []string{`1:14: invalid TOML: expected newline but got U+0037 '7'`}},
	{"byte order mark is no column", "\xef\xbb\xbffoo = 1", []string{`1:1: unknown key "foo"; ` + known}},
	{"byte order mark inside", "manage = true\n\xef\xbb\xbfdhcp = 1", []string{`2:1: invalid TOML: invalid character at start of key: U+00EF 'ï'`}},
	{"JSON", `{"manage": false}`, []string{`1:1: invalid TOML: invalid character at start of key: U+007B '{'`}},
	{"egress: empty", "[egress]", []string{`1:2: the section [egress] needs the key interface: ` + egressAllows}},
	{"egress: two brackets", "[[egress]]\ninterface = \"eth2\"", []string{`1:3: write this section with one bracket: [egress]`}},
	{"egress: twice", "[egress]\ninterface = \"eth2\"\n[egress]\ninterface = 7", []string{`3:2: there is a section [egress] already, on line 1`}},
	{"egress: number", "[egress]\ninterface = 2", []string{`2:13: interface cannot be 2: a number; allowed: ` + egressAllows}},
	{"egress: bare word", "[egress]\ninterface = eth2", []string{`2:13: invalid TOML: "eth2" is not a value; write text in quotes; interface allows ` + egressAllows}},
	{"egress: pattern", "[egress]\ninterface = \"eth/2\"", []string{`2:13: interface cannot be "eth/2": contains '/'; allowed: ` + egressAllows}},
	{"egress: no interface", "[egress]\ninterface = []", []string{`2:13: interface cannot be […]: an empty list; allowed: ` + egressAllows}},
	{"egress: bad item", "[egress]\ninterface = [\"eth2\",\n 3]", []string{`3:2: interface cannot hold 3: a number; allowed: ` + egressAllows}},
	{"egress: list in a list", "[egress]\ninterface = [[\"eth2\"]]", []string{`2:14: interface cannot hold […]: a list; allowed: ` + egressAllows}},
	{"egress: lines, comments and other texts", "[egress]\ninterface = [ # the \"first\", [and] another\n  'eth2', # ]\n  \"\"\"e\"th\"\"\" , '-'\n  , 7 ]\nx = 1", []string{
		`4:16: interface cannot hold "-": begins with '-'; allowed: ` + egressAllows, `6:1: unknown key "x"; known here: interface`}},
	{"egress: not the first of its kind", "[egress]\ninterface = [[\"a\", {b = \"c\"}], \"eth2\"]", []string{`2:14: interface cannot hold […]: a list; allowed: ` + egressAllows}},
	{"egress: never closed", "[egress]\ninterface = [\n\"eth2\",\n", []string{`3:8: invalid TOML: array is incomplete`}},
	{"egress: endless", "[egress]\ninterface = [" + strings.Repeat("\n", 2000) + "\"eth2\"]\n", []string{`1001:1: invalid TOML: array is incomplete`}},
	{"dhcp: twice in a table", "dhcp = {a = 1, a = 2}", []string{`1:1: invalid TOML: key a is already defined`}},
	{"dhcp: no date", "dhcp = 2026-13-01", []string{`1:8: dhcp cannot be 2026-13-01: impossible date; allowed: "auto", "native" or "off"`}},
	{"egress: duplicate", "[egress]\ninterface = [\"eth2\", \"eth3\", \"eth2\"]", []string{`2:30: interface cannot hold "eth2": it is in the list already; allowed: ` + egressAllows}},
	{"egress: too many", "[egress]\ninterface = [" + strings.Repeat("\"e\",", 17) + "]", []string{`2:13: interface cannot be […]: too many; allowed: ` + egressAllows}},
	{"egress: unknown key", "[egress]\ninterfaces = \"eth2\"", []string{`1:2: the section [egress] needs the key interface: ` + egressAllows, `2:1: unknown key "interfaces"; did you mean interface?`}},
	{"egress: an interface's key", "[egress]\ninterface = \"eth2\"\nmanage = true", []string{`3:1: unknown key "manage"; known here: interface`}},
	{"egress: at the top", "egress.interface = \"eth2\"", []string{`1:1: unknown key "egress.interface"; ` + known}},
	{"nat: empty", "[nat]", []string{`1:2: the section [nat] needs the key from: ` + natAllows, `1:2: the section [nat] needs the key out: an interface name, such as "eth2"`}},
	{"nat: out is a list", "[nat]\nfrom = \"10.0.0.0/24\"\nout = [\"eth2\"]", []string{`3:7: out cannot be […]: a list; allowed: an interface name, such as "eth2"`}},
	{"nat: in is out", "[nat]\nfrom = \"10.0.0.0/24\"\nout = \"eth2\"\nin = \"eth2\"", []string{`1:2: the section [nat] names eth2 for both in and out; traffic is passed on from one interface to another`}},
	{"nat: everything", natFrom(`"0.0.0.0/0"`), []string{`3:9: from cannot hold "0.0.0.0/0": that is every address; allowed: ` + natAllows}},
	{"nat: nearly everything", natFrom(`"128.0.0.0/1"`), []string{`3:9: from cannot hold "128.0.0.0/1": wider than /8; allowed: ` + natAllows}},
	{"nat: host bits", natFrom(`"172.22.5.130/26"`), []string{`3:9: from cannot hold "172.22.5.130/26": it has bits behind its length; the subnet is 172.22.5.128/26; allowed: ` + natAllows}},
	{"nat: overlap", natFrom(`"172.22.5.128/26", "10.0.0.0/8", "172.22.5.176/28"`), []string{`3:42: from cannot hold "172.22.5.176/28": it overlaps 172.22.5.128/26; allowed: ` + natAllows}},
	{"nat: twice", natFrom(`"10.0.0.0/8", "10.0.0.0/8"`), []string{`3:23: from cannot hold "10.0.0.0/8": it overlaps 10.0.0.0/8; allowed: ` + natAllows}},
	{"nat: IPv6", natFrom(`"2001:db8::/64"`), []string{`3:9: from cannot hold "2001:db8::/64": IPv6, which is passed on without translation or not at all; allowed: ` + natAllows}},
	{"nat: address", natFrom(`"10.0.0.1"`), []string{`3:9: from cannot hold "10.0.0.1": malformed; allowed: ` + natAllows}},
	{"nat: number", natFrom(`10`), []string{`3:9: from cannot hold 10: a number; allowed: ` + natAllows}},
	{"nat: loopback", natFrom(`"127.0.0.0/8"`), []string{`3:9: from cannot hold "127.0.0.0/8": no host that another one passes packets on for has such an address; allowed: ` + natAllows}},
	{"nat: metadata", natFrom(`"169.254.0.0/16"`), []string{`3:9: from cannot hold "169.254.0.0/16": no host that another one passes packets on for has such an address; allowed: ` + natAllows}},
	{"nat: none", natFrom(``), []string{`3:8: from cannot be […]: an empty list; allowed: ` + natAllows}},
	{"INI", "[main]\nmanage=no\n; comment", []string{`1:2: unknown section "main"; the sections are [[interface]], [egress] and [nat]`,
		`2:8: invalid TOML: "no" is not a value; write text in quotes; manage allows true, "link-up" or false`,
		`3:1: invalid TOML: invalid character at start of key: U+003B ';'`}},
	{"nested without end", "manage = " + strings.Repeat("[", 100000), []string{`1:10010: invalid TOML: arrays and inline tables are nested more than the maximum of 10000 levels deep`}},

	{"everything at once", "manage = 1\nrefresh = \"1d\"\nfoo = 1\n\n[[interface]]\nname = \"a b\"\nrefrsh = \"1s\"\n\n[[interface]]\ndhcp = \"on\"\n", []string{
		`1:10: manage cannot be 1: a number; allowed: true, "link-up" or false`,
		`2:11: refresh cannot be "1d": not a time with a unit; allowed: a time from "1s" to "1h", such as "30s"`,
		`3:1: unknown key "foo"; ` + known,
		`6:8: name cannot be "a b": contains white space (U+0020); allowed: an interface name or a pattern, such as "eth1" or "eth*"`,
		`7:1: unknown key "refrsh"; did you mean refresh?`,
		`9:3: ` + noMatch,
		`10:8: dhcp cannot be "on": unknown value; allowed: "auto", "native" or "off"`,
	}},
}

// lines returns what an error of Parse says, one string for each problem.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	text := strings.Split(err.Error(), "\n")
	for i := range text {
		text[i] = strings.TrimPrefix(text[i], "x.toml:")
	}
	return text
}

func TestParseErrors(t *testing.T) {
	for _, tt := range badFiles {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse("x.toml", []byte(tt.text))
			if diff := cmp.Diff(tt.want, lines(err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if c.File != "" || c.Defaults != (Interface{}) || c.sections != nil {
				t.Errorf("a configuration beside an error: %+v", c)
			}
		})
	}
}

// TestParseForeignEditor reads a byte order mark and CRLF, as an editor on another system writes them.
func TestParseForeignEditor(t *testing.T) {
	c := mustParse(t, "\xef\xbb\xbf# caf\u00e9\r\nmanage = false\r\n\r\n[[interface]]\r\nname = \"eth1\"\r\nmanage = true\r\n")
	if c.For(Local("eth0", macA, "")).Manage != None || c.For(Local("eth1", macA, "")).Manage != Full {
		t.Errorf("%+v", c)
	}
}

func TestProblemFields(t *testing.T) {
	_, err := Parse("/etc/x.toml", []byte("\n foo = 1"))
	var p *Problem
	if !errors.As(err, &p) {
		t.Fatalf("%v is not a Problem", err)
	}
	if want := (Problem{"/etc/x.toml", 2, 2, `unknown key "foo"; ` + known}); *p != want {
		t.Errorf("got %+v, want %+v", *p, want)
	}
}

// TestManyProblems: a large file of another kind must not flood the journal.
func TestManyProblems(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("foo\n", maxSize/4),
		strings.Repeat("[[x]]\n", maxSize/6),
		strings.Repeat("\x00\n", maxSize/2),
		strings.Repeat("[[interface]]\n", maxSize/9),
		numbered("key%06d = 1\n", 60000),
	} {
		_, err := Parse("x.toml", []byte(text))
		got := lines(err)
		if len(got) != maxProblems+1 {
			t.Errorf("%.10q…: %d lines", text, len(got))
		} else if got[maxProblems] != " too many errors; the rest was not read" {
			t.Errorf("last line %q", got[maxProblems])
		}
	}
}

// numbered writes a line many times, with a number in it.
func numbered(line string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, line, i)
	}
	return b.String()
}

// TestManySections reads about the largest file that can be read, and looks an interface up in it.
func TestManySections(t *testing.T) {
	text := numbered("[[interface]]\nname = \"a%d\"\nmanage = false\n", 20000)
	if len(text) > maxSize {
		t.Fatalf("%d bytes are more than Load takes", len(text))
	}
	c := mustParse(t, text)
	if c.For(Local("a19999", macA, "")).Manage != None || c.For(Local("a20000", macA, "")).Manage != Full {
		t.Error("a section was lost")
	}
}

func TestNearest(t *testing.T) {
	known := append(names(settings()), names(matchKeys())...)
	for word, want := range map[string]string{
		"manage": "manage", "managed": "manage", "mange": "manage", "refersh": "refresh", "REFRESH": "refresh",
		"Device-Number": "device_number", "devicenumber": "device_number", "maintable": "main_table",
		"net_interface": "", "x": "", "": "", "hello": "", "nat": "", "egress": "", "metrics_file": "", "reply": "", "repleis": "replies",
		strings.Repeat("manage", 1000): "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("nearest(%.20q) = %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"ab", "ab", 0}, {"ab", "ba", 1}, {"abc", "acb", 1}, {"abc", "abd", 1},
		{"kitten", "sitting", 3}, {"ca", "abc", 3}, {"abcdefghijkl", "", 9}, {"abcdefghijkl", "mnopqrstuvwx", 9},
	} {
		if got := distance(tt.a, tt.b, 9); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
