package config

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"ec2net/metadata"
)

// entry is one key of the file: its name, the values it takes in words, and how a value is read. What
// is read is a function that puts a setting into a Interface, or one that matches an interface.
type entry[T any] struct {
	name    string
	allowed string
	read    func(value) (T, error)
}

// settings are the keys that may stand at the top of the file and in a [[interface]] section. A new
// setting is one more line here, one field of Interface and its line in Default.
func settings() []entry[func(*Interface)] {
	return []entry[func(*Interface)]{
		{"manage", `true, "link-up" or false`, setter(choice(map[string]Manage{"true": Full, `"link-up"`: LinkUp, "false": None}),
			func(c *Interface, m Manage) { c.Manage = m })},
		{"dhcp", `"auto", "native" or "off"`, setter(choice(map[string]DHCP{`"auto"`: Auto, `"native"`: Native, `"off"`: Off}),
			func(c *Interface, d DHCP) { c.DHCP = d })},
		{"main_table", "true or false", setter(choice(map[string]bool{"true": true, "false": false}),
			func(c *Interface, on bool) { c.MainTable = on })},
		{"prefixes", `"rules", "local" or "off"`, setter(choice(map[string]Prefixes{`"rules"`: PrefixRules, `"local"`: PrefixLocal, `"off"`: PrefixOff}),
			func(c *Interface, p Prefixes) { c.Prefixes = p })},
		{"replies", `"by-source" or "by-interface"`, setter(choice(map[string]Replies{`"by-source"`: BySource, `"by-interface"`: ByInterface}),
			func(c *Interface, r Replies) { c.Replies = r })},
		{"refresh", `a time from "1s" to "1h", such as "30s"`, setter(duration(time.Second, time.Hour),
			func(c *Interface, d time.Duration) { c.Refresh = d })},
		{"release", `a time from "1s" to "1h", such as "30s"`, setter(duration(time.Second, time.Hour),
			func(c *Interface, d time.Duration) { c.Release = d })},
		{"wait", `a time from "1s" to "1h", such as "2m"`, setter(duration(time.Second, time.Hour),
			func(c *Interface, d time.Duration) { c.Wait = d })},
	}
}

// matchKeys are the keys by which a [[interface]] section says which interfaces it is for.
func matchKeys() []entry[matcher] {
	const number = "a number from 0 to 99"
	return []entry[matcher]{
		{"name", `an interface name or a pattern, such as "eth1" or "eth*"`, matching(pattern, matchName)},
		{"mac", `a MAC address, such as "02:00:00:00:00:0a"`, matching(mac, matchMAC)},
		{"eni", `the id of an interface, such as "eni-0123456789abcdef0"`, matching(formed(metadata.IsID), matchENI)},
		{"device_number", number, matching(below100, matchDeviceNumber)},
		{"network_card", number, matching(below100, matchNetworkCard)},
		{"driver", `a driver's name as "ethtool -i" shows it, such as "ena"`, matching(like(`[0-9A-Za-z_.-]{1,31}`), matchDriver)},
	}
}

func names[T any](entries []entry[T]) []string {
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = e.name
	}
	return list
}

func find[T any](entries []entry[T], name string) (e entry[T], ok bool) {
	for _, e = range entries {
		if e.name == name {
			return e, true
		}
	}
	return entry[T]{}, false
}

// setter joins how a value is read with where in a Interface it goes.
func setter[T any](read func(value) (T, error), put func(*Interface, T)) func(value) (func(*Interface), error) {
	return func(v value) (func(*Interface), error) {
		x, err := read(v)
		return func(c *Interface) { put(c, x) }, err
	}
}

// matching joins how a value is read with how it is compared to an interface.
func matching[T any](read func(value) (T, error), match func(T) matcher) func(value) (matcher, error) {
	return func(v value) (matcher, error) {
		x, err := read(v)
		return match(x), err
	}
}

// choice reads one of a few values, each keyed by the way it is written in TOML.
func choice[T any](of map[string]T) func(value) (T, error) {
	return func(v value) (T, error) {
		x, ok := of[v.String()]
		if ok {
			return x, nil
		}
		if _, err := typed[string](v); err != nil {
			return x, err
		}
		return x, misspelt(of, v.text)
	}
}

// misspelt says what is wrong with a text that is none of the values.
func misspelt[T any](of map[string]T, s string) error {
	small := strings.ToLower(s)
	if _, ok := of[small]; ok {
		return fmt.Errorf("write %s without quotes", small)
	}
	if _, ok := of[strconv.Quote(small)]; ok {
		return errors.New("write it in small letters")
	}
	return errors.New("unknown value")
}

func duration(least, most time.Duration) func(value) (time.Duration, error) {
	return func(v value) (time.Duration, error) {
		if _, err := typed[string](v); err != nil {
			return 0, err
		}
		d, err := time.ParseDuration(v.text)
		switch {
		case err != nil:
			return 0, errors.New("not a time with a unit")
		case d < least:
			return 0, errors.New("too short")
		case d > most:
			return 0, errors.New("too long")
		}
		return d, nil
	}
}

func below100(v value) (int, error) {
	n, err := typed[int64](v)
	if err == nil && (n < 0 || n > 99) {
		err = errors.New("out of range")
	}
	return int(n), err
}

// like reads text that matches the whole of a regular expression.
func like(expr string) func(value) (string, error) {
	return formed(regexp.MustCompile(`^(?:` + expr + `)$`).MatchString)
}

// formed reads text that has a form.
func formed(is func(string) bool) func(value) (string, error) {
	return func(v value) (string, error) {
		if _, err := typed[string](v); err != nil {
			return "", err
		}
		if is(v.text) {
			return v.text, nil
		}
		if is(strings.ToLower(v.text)) {
			return "", errors.New("write it in small letters")
		}
		return "", errors.New("malformed")
	}
}

func mac(v value) (metadata.MAC, error) {
	if _, err := typed[string](v); err != nil {
		return metadata.MAC{}, err
	}
	m, err := metadata.ParseMAC(v.text)
	switch {
	case err != nil:
		return m, errors.New("malformed")
	case m == metadata.MAC{}:
		return m, errors.New("no interface has it")
	case m[0]&1 == 1: // IEEE 802: the group bit, never set in the address of an interface
		return m, errors.New("a multicast address")
	}
	return m, nil
}

// pattern reads an interface name in which *, ? and [a-z] stand for more than themselves.
func pattern(v value) (string, error) {
	if _, err := typed[string](v); err != nil {
		return "", err
	}
	if !strings.ContainsAny(v.text, `*?[\`) {
		return v.text, checkName(v.text)
	}
	if len(v.text) > 64 {
		return "", errors.New("longer than 64 bytes")
	}
	if err := checkRunes(v.text); err != nil {
		return "", err
	}
	if strings.Contains(v.text, "[!") { // path.Match would take the ! for itself
		return "", errors.New("[! is written [^ here")
	}
	if _, err := path.Match(v.text, ""); err != nil {
		return "", errors.New("malformed pattern")
	}
	return v.text, nil
}
