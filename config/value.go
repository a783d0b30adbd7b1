package config

import (
	"errors"
	"fmt"
)

// value is one value of the file.
type value struct {
	data any    // as the decoder reads it; an error where it does not
	text string // of text: what stands between the quotes; of other single values as written

	items []value          // of a list
	at    int              // offset into the document
	place func(int) string // of an offset, for what only the kernel can tell to be wrong
}

// String writes the value as TOML does, cut short, and safe for a terminal.
func (v value) String() string {
	switch v.data.(type) {
	case string:
		return fmt.Sprintf("%.60q", v.text)
	case []any:
		return "[…]"
	case map[string]any:
		return "{…}"
	}
	return fmt.Sprintf("%.60s", v.text)
}

// typed is the value if it is text (string) or a number (int64), as wanted. The error says what it is instead.
func typed[T string | int64](v value) (T, error) {
	x, ok := v.data.(T)
	if !ok {
		return x, errors.New(v.noun())
	}
	return x, nil
}

// noun says in the words of a user, not of Go or TOML, what a value is.
func (v value) noun() string {
	switch data := v.data.(type) {
	case string:
		return "text"
	case int64:
		return "a number"
	case float64:
		return "a number with a fraction"
	case bool:
		return "a boolean"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	case error:
		return data.Error()
	}
	return "a date or a time of day"
}
