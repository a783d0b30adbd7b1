package config

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/pelletier/go-toml/v2/unstable"
)

// The kinds of value that keys take, apart from true and false.
const (
	text   = unstable.String
	number = unstable.Integer
)

// value is one value of the file.
type value struct {
	kind unstable.Kind
	text string // of text: what stands between the quotes; else as written

	items []value          // of a list
	at    int              // offset into the document
	place func(int) string // of an offset, for what only the kernel can tell to be wrong
}

// String writes the value as TOML does, cut short, and safe for a terminal.
func (v value) String() string {
	switch v.kind {
	case text:
		return fmt.Sprintf("%.60q", v.text)
	case unstable.Array:
		return "[…]"
	case unstable.InlineTable:
		return "{…}"
	}
	return fmt.Sprintf("%.60s", v.text)
}

// must returns an error that says what the value is when it is not of the wanted kind.
func (v value) must(want unstable.Kind) error {
	if v.kind == want {
		return nil
	}
	return errors.New(v.noun())
}

// noun says in the words of a user, not of Go or TOML, what a value is.
func (v value) noun() string {
	switch v.kind {
	case text:
		return "text"
	case number:
		return "a number"
	case unstable.Float:
		return "a number with a fraction"
	case unstable.Bool:
		return "a boolean"
	case unstable.Array:
		return "a list"
	case unstable.InlineTable:
		return "a table"
	}
	return "a date or a time of day"
}

// integer reads a number in any base; Go spells integers the way that TOML does.
func (v value) integer() (int64, error) { return strconv.ParseInt(v.text, 0, 64) }
