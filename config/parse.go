package config

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"
)

// reader walks over the expressions of a document, one by one, so that all that is wrong is found.
type reader struct {
	problems
	settings []entry[func(*Interface)]
	matches  []entry[matcher]
	tables   []*table
	config   Config
	section  *draft         // nil outside of a [[interface]]
	table    *table         // nil outside of a section of the host
	skip     bool           // below a header that is not known
	seen     map[string]int // keys of the present table, and where they were set
}

// draft is the section that is being read.
type draft struct {
	section
	offset  int  // of its header
	chooses bool // a match key was there, be it a bad one
}

// Parse reads a configuration. The name is the file's, for the errors; all that is wrong is reported,
// each as a Problem. Nothing is returned beside an error.
func Parse(name string, b []byte) (Config, error) {
	r := reader{
		problems: problems{file: name, doc: bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))},
		settings: settings(),
		matches:  matchKeys(),
		tables:   tables(),
		config:   Default(),
		seen:     map[string]int{},
	}
	r.config.File = name
	if r.encoded() {
		r.read()
		r.endSection()
	}
	if err := r.err(); err != nil {
		return Config{}, err
	}
	return r.config, nil
}

// encoded reports whether the document is UTF-8. What is not is not read any further: it is another
// kind of file.
func (r *reader) encoded() bool {
	for i := 0; i < len(r.doc); {
		c, size := utf8.DecodeRune(r.doc[i:])
		if c == utf8.RuneError && size == 1 {
			r.add(i, "not UTF-8 text (byte 0x%02x)", r.doc[i])
			return false
		}
		i += size
	}
	return true
}

// read takes the expressions to the end, or to an error that hides what follows.
func (r *reader) read() {
	for at := 0; at < len(r.doc) && !r.full(); {
		e, err := r.expression(at)
		if err != nil {
			at = r.syntax(at, err)
			continue
		}
		if line := bytes.TrimLeft(r.doc[at:e.end], " \t"); bytes.HasPrefix(line, []byte("[")) {
			r.header(e.key, bytes.HasPrefix(line, []byte("[[")))
		} else if e.parts != nil && !r.skip {
			r.keyValue(e)
		}
		at = e.end
	}
}

// lineAfter returns where the line after the one at an offset begins.
func (r *reader) lineAfter(offset int) int {
	if i := bytes.IndexByte(r.doc[offset:], '\n'); i >= 0 {
		return offset + i + 1
	}
	return len(r.doc)
}

// header begins a section.
func (r *reader) header(k key, array bool) {
	r.endSection()
	r.seen, r.skip = map[string]int{}, false
	if r.hostTable(k, array) {
		return
	}
	r.skip = k.String() != "interface" || len(k.parts) != 1
	switch {
	case r.skip:
		r.add(k.start, "unknown section %.60q; the sections are %s", k, list(r.sections(), "and"))
	case !array:
		r.add(k.start, "write an interface's section with two brackets: [[interface]]")
	}
	if !r.skip {
		r.section = &draft{offset: k.start}
	}
}

// sections are the headers that are known.
func (r *reader) sections() []string {
	out := []string{"[[interface]]"}
	for _, t := range r.tables {
		out = append(out, "["+t.name+"]")
	}
	return out
}

func (r *reader) endSection() {
	r.endTable()
	s := r.section
	if s == nil {
		return
	}
	if !s.chooses {
		r.add(s.offset, "this section does not say which interfaces it is for; add %s", list(names(r.matches), "or"))
	}
	r.config.sections = append(r.config.sections, s.section)
	r.section = nil
}

func (r *reader) keyValue(k expression) {
	name := k.String()
	if first, ok := r.seen[name]; ok {
		line, _ := position(r.doc, first)
		r.add(k.start, "%.60q is set twice, first on line %d", name, line)
		return
	}
	r.seen[name] = k.start
	if r.table != nil {
		r.hostKey(k)
		return
	}
	if len(k.parts) == 1 && (r.setting(k) || r.matchKey(k) || r.hostSetting(k)) {
		return
	}
	r.unknownKey(k.key)
}

// setting takes a key that is a setting, and reports whether it is one.
func (r *reader) setting(k expression) bool {
	e, ok := find(r.settings, k.parts[0])
	if !ok {
		return false
	}
	apply, ok := accept(r, e, k)
	switch {
	case !ok:
	case r.section == nil:
		apply(&r.config.Defaults)
	default:
		r.section.set = append(r.section.set, assignment{e.name, apply})
	}
	return true
}

// matchKey takes a key that chooses interfaces, and reports whether it is one.
func (r *reader) matchKey(k expression) bool {
	e, ok := find(r.matches, k.parts[0])
	if !ok {
		return false
	}
	if r.section == nil {
		r.add(k.start, "%s selects interfaces: put it in an [[interface]] section", e.name)
		return true
	}
	r.section.chooses = true
	if m, ok := accept(r, e, k); ok {
		r.section.match = append(r.section.match, m)
	}
	return true
}

// accept reads a value, or notes why it cannot be.
func accept[T any](r *reader, e entry[T], k expression) (x T, ok bool) {
	v := r.value(k)
	x, err := e.read(v)
	var item *itemError
	switch {
	case errors.As(err, &item):
		r.add(item.item.at, "%s cannot hold %s: %v; allowed: %s", e.name, item.item, err, e.allowed)
	case err != nil:
		r.add(v.at, "%s cannot be %s: %v; allowed: %s", e.name, v, err, e.allowed)
	}
	return x, err == nil
}

func (r *reader) unknownKey(k key) {
	known := names(r.settings)
	switch {
	case r.table != nil:
		known = names(r.table.keys)
	case r.section != nil:
		known = append(known, names(r.matches)...)
	default:
		known = append(known, names(hostKeys())...)
	}
	if k.parts[0] == "interface" {
		r.add(k.start, "put an interface's settings in a section of their own, below a line [[interface]]")
	} else if near := nearest(k.String(), known); near != "" {
		r.add(k.start, "unknown key %.60q; did you mean %s?", k, near)
	} else {
		r.add(k.start, "unknown key %.60q; known here: %s", k, list(known, "and"))
	}
}

// list writes words as a sentence does.
func list(words []string, last string) string {
	n := len(words) - 1
	if n == 0 {
		return words[0]
	}
	return strings.Join(words[:n], ", ") + " " + last + " " + words[n]
}
