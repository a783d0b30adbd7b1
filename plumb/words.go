package plumb

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The words of the texts, in the syntax of ip.

func u(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// word is a name of a link as it can stand in a log or on a terminal. The kernel accepts names with
// control characters in them.
func word(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' }) || !utf8.ValidString(name) {
		return strconv.QuoteToASCII(name)
	}
	return name
}

// fromText leaves the length of a host prefix out, as ip(8) does.
func fromText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func boolean(on bool) uint32 {
	if on {
		return 1
	}
	return 0
}
