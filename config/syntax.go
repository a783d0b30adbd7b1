package config

import (
	"bytes"
	"regexp"
)

// bareValue is a line whose value is text without quotes: by far the most frequent slip.
const bareValue = `^[ \t]*([A-Za-z0-9_-]+)[ \t]*=[ \t]*([^\s#"'\[\]{},=[:cntrl:]]+)[ \t]*(?:#.*)?\r?\n?$`

// syntax notes what the decoder did not understand of the expression on the line at an offset, and returns where to read on. A
// mistake within one line does not keep the lines below it from being checked; one that may reach over several does.
func (r *reader) syntax(start int, err error) (resume int) {
	end := r.lineAfter(start)
	line := r.doc[start:end]
	r.broken(line)
	bare := regexp.MustCompile(bareValue).FindSubmatchIndex(line)
	switch {
	case !single(line):
		r.add(r.offset(start, err), "invalid TOML: %s", reason(err))
		return len(r.doc)
	case bare != nil:
		r.unquoted(start+bare[4], string(line[bare[2]:bare[3]]), string(line[bare[4]:bare[5]]))
	default:
		r.add(r.offset(start, err), "invalid TOML: %s", reason(err))
	}
	return end
}

// single reports whether an expression that begins on this line must end on it.
func single(line []byte) bool {
	_, after, _ := bytes.Cut(line, []byte("="))
	after = bytes.TrimLeft(after, " \t")
	long := bytes.Contains(line, []byte(`"""`)) || bytes.Contains(line, []byte(`'''`))
	return !long && !bytes.HasPrefix(after, []byte("[")) && !bytes.HasPrefix(after, []byte("{"))
}

// unquoted says of a word in place of a value what its key allows.
func (r *reader) unquoted(offset int, name, word string) {
	const what = "invalid TOML: %.60q is not a value; write text in quotes"
	if allowed := r.allowed(name); allowed != "" {
		r.add(offset, what+"; %s allows %s", word, name, allowed)
	} else {
		r.add(offset, what, word)
	}
}

// allowed is what a key of this name takes, in words; empty: no section has such a key.
func (r *reader) allowed(name string) string {
	if e, ok := r.hostEntry(name); ok {
		return e.allowed
	}
	if e, ok := find(hostKeys(), name); ok {
		return e.allowed
	}
	if e, ok := find(r.settings, name); ok {
		return e.allowed
	}
	e, _ := find(r.matches, name)
	return e.allowed
}

// broken notes what a line that could not be read would have set, so that nothing is said about its
// absence. Below a broken header nobody knows what the keys belong to.
func (r *reader) broken(line []byte) {
	line = bytes.TrimLeft(line, " \t")
	if bytes.HasPrefix(line, []byte("[")) {
		r.endSection()
		r.skip = true
		return
	}
	name := string(bytes.TrimRight(line[:max(0, bytes.IndexByte(line, '='))], " \t"))
	if r.table != nil {
		r.table.given[name] = true
	}
	if _, ok := find(r.matches, name); ok && r.section != nil {
		r.section.chooses = true
	}
}
