package config

import (
	"bytes"
	"errors"
	"math/big"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// maxLines bounds the lines of one value, of which the decoder is shown one more each time; a list has 32 items at most.
const maxLines = 1000

// expression is what stands on one line of the document, or on several: the header of a section, or a key and its value.
type expression struct {
	key
	end int // where the line after it begins
}

// key is a key of the document, and where it stands.
type key struct {
	parts []string // nil: there is none, on a blank line or in a comment
	start int
}

func (k key) String() string { return strings.Join(k.parts, ".") }

// expression reads the one that begins on the line at an offset. The decoder is shown that line alone, and as many more
// as it takes until it understands them. As it has no place for any key, it tells all that there are, with their positions.
// A key that stands twice in a section, or a section that does, is for the reader to find.
func (r *reader) expression(at int) (e expression, err error) {
	e.end = r.lineAfter(at)
	several := !single(r.doc[at:e.end])
	for range maxLines {
		if e.key, err = r.decode(at, e.end); err == nil || !several || e.end == len(r.doc) {
			break
		}
		e.end = r.lineAfter(e.end)
	}
	return e, err
}

// decode reads the first key of a part of the document.
func (r *reader) decode(at, end int) (key, error) {
	err := toml.NewDecoder(bytes.NewReader(r.doc[at:end])).DisallowUnknownFields().Decode(&struct{}{})
	if keys := (*toml.StrictMissingError)(nil); errors.As(err, &keys) {
		first := &keys.Errors[0]
		return key{first.Key(), r.offset(at, first)}, nil
	}
	return key{}, err
}

// offset is the place in the document of what the decoder says of a part that begins at an offset.
func (r *reader) offset(at int, err error) int {
	var e *toml.DecodeError
	if !errors.As(err, &e) {
		return at
	}
	row, column := e.Position() // in bytes
	for range row - 1 {
		at = r.lineAfter(at)
	}
	return min(at+column-1, len(r.doc))
}

// reason is what the decoder says, without its name.
func reason(err error) string { return strings.TrimPrefix(err.Error(), "toml: ") }

// value is the one of a key whose name is known, so that there is no = in it.
func (r *reader) value(e expression) value {
	written := r.doc[e.start:e.end]
	var all map[string]any
	err := toml.Unmarshal(written, &all)
	_, after, _ := bytes.Cut(written, []byte("="))
	at := e.end - len(bytes.TrimLeft(after, " \t"))
	if err != nil {
		v := value{data: errors.New(reason(err)), text: scalar(r.doc[at:e.end]), at: at}
		if _, ok := new(big.Int).SetString(v.text, 0); ok {
			v.data = errors.New("out of range")
		}
		return v
	}
	return r.valueOf(all[e.parts[0]], at, e.end)
}

// valueOf is a value that stands at an offset, and the items of a list.
func (r *reader) valueOf(data any, at, end int) value {
	v := value{data: data, at: at, place: r.place}
	switch data := data.(type) {
	case string:
		v.text = data
	case []any:
		starts := items(r.doc[at:end])
		for i, item := range data {
			v.items = append(v.items, r.valueOf(item, at+starts[i], end))
		}
	default:
		v.text = scalar(r.doc[at:end])
	}
	return v
}

// scalar is what is written of a number, a date or true and false, at the beginning of a text.
func scalar(b []byte) string {
	if i := bytes.IndexAny(b, ",]}#\r\n"); i >= 0 {
		b = b[:i]
	}
	return string(bytes.TrimRight(b, " \t"))
}

// token is what a list consists of: texts, comments, brackets, commas and other values.
const token = `(?s)"""(?:\\.|[^\\])*?"{3,5}|'''.*?'{3,5}|"(?:\\.|[^"\\])*"|'[^']*'|#[^\n]*|[\[\]{},]|[^\[\]{},\s#"']+`

// items says where the items of a list begin, which is the first thing in a text, and well-formed.
func items(list []byte) (starts []int) {
	depth, before := 0, byte(' ')
	for _, t := range regexp.MustCompile(token).FindAllIndex(list, -1) {
		c := list[t[0]]
		if c == '#' {
			continue
		}
		first := depth == 1 && (before == '[' || before == ',')
		switch {
		case c == ']' || c == '}':
			if depth--; depth == 0 {
				return starts
			}
		case first:
			starts = append(starts, t[0])
		}
		if c == '[' || c == '{' {
			depth++
		}
		before = c
	}
	return starts
}
