package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName and maxAltName are IFNAMSIZ and ALTIFNAMSIZ less their terminating NUL.
const maxName, maxAltName = 15, 127

// ValidName says why a string cannot be the name of a network interface, or nil. It is for names that
// come from outside (a command line, the instance of a unit template), before they get into a path,
// a netlink message or a log. It refuses what the kernel refuses (dev_valid_name), and beyond that
// what no interface has and what would harm: a leading '-', which is an option; '%', which the kernel
// expands; "all" and "default", which in /proc/sys/net stand for every interface; what cannot be printed.
func ValidName(name string) error {
	return named(name, checkName(name))
}

// ValidAltName is ValidName for a name that may be one of an interface's alternative ones, which are longer
// (ip-link(8), altname).
func ValidAltName(name string) error {
	return named(name, checkLength(name, maxAltName))
}

func named(name string, err error) error {
	if err != nil {
		return fmt.Errorf("%.40q is not an interface name: %w", name, err)
	}
	return nil
}

func checkName(name string) error { return checkLength(name, maxName) }

func checkLength(name string, most int) error {
	switch {
	case name == "":
		return errors.New("empty")
	case len(name) > most:
		return fmt.Errorf("longer than %d bytes", most)
	case name[0] == '-':
		return errors.New("begins with '-'")
	case name == "." || name == ".." || name == "all" || name == "default":
		return errors.New("reserved")
	}
	return checkRunes(name)
}

// checkRunes refuses characters that no interface name holds.
func checkRunes(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("not UTF-8")
	}
	if i := strings.IndexFunc(s, forbidden); i >= 0 {
		r, _ := utf8.DecodeRuneInString(s[i:])
		return fmt.Errorf("contains %s", describe(r))
	}
	return nil
}

func forbidden(r rune) bool {
	return strings.ContainsRune("/:%", r) || unicode.IsSpace(r) || !unicode.IsPrint(r) || latinSpace(r)
}

// latinSpace reports characters whose UTF-8 form holds the byte 0xa0: the kernel reads bytes, and in
// its Latin-1 table that one is a space.
func latinSpace(r rune) bool { return strings.IndexByte(string(r), 0xa0) >= 0 }

func describe(r rune) string {
	switch {
	case unicode.IsSpace(r):
		return fmt.Sprintf("white space (%U)", r)
	case unicode.IsControl(r):
		return fmt.Sprintf("a control character (%U)", r)
	case !unicode.IsPrint(r):
		return fmt.Sprintf("an unprintable character (%U)", r)
	}
	return fmt.Sprintf("%q", r)
}
