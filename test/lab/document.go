package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ec2net/metadata"
)

// document is a provider's metadata in one piece: objects, lists and values, as encoding/json has them.
type document = any

type object = map[string]any

// descend finds what lies at a path: keys of objects and indices of lists.
func descend(v document, path string) (document, bool) {
	for _, key := range split(path) {
		switch in := v.(type) {
		case object:
			next, ok := in[key]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(in) {
				return nil, false
			}
			v = in[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// listing is a place of the document in the text format: the names there are, or the text itself.
func listing(v document) (body string, leaf bool) {
	var names []string
	add := func(name string, v any) {
		if _, leaf := listing(v); !leaf {
			name += "/"
		}
		names = append(names, name)
	}
	switch in := v.(type) {
	case object:
		for _, key := range slices.Sorted(maps.Keys(in)) {
			add(key, in[key])
		}
	case []any:
		for i, e := range in {
			add(strconv.Itoa(i), e)
		}
	case json.RawMessage:
		return string(in), true
	case string:
		return in, true
	case int:
		return strconv.Itoa(in), true
	}
	return strings.Join(names, "\n"), false
}

// places lists the topmost places that a pattern matches.
func places(v document, at, pattern string) (out []string) {
	if matchPath(pattern, at) {
		return []string{at}
	}
	switch in := v.(type) {
	case object:
		for key, e := range in {
			out = append(out, places(e, join(at, key), pattern)...)
		}
	case []any:
		for i, e := range in {
			out = append(out, places(e, join(at, strconv.Itoa(i)), pattern)...)
		}
	}
	return out
}

// edited returns the document with a fault's change at some places; v itself stays as it is.
func (in *injected) edited(v document, at string, where []string) (out document, keep bool) {
	if slices.Contains(where, at) {
		return in.changed(v)
	}
	switch from := v.(type) {
	case object:
		to := object{}
		for key, e := range from {
			if e, keep := in.edited(e, join(at, key), where); keep {
				to[key] = e
			}
		}
		return to, true
	case []any:
		to := []any{}
		for i, e := range from {
			if e, keep := in.edited(e, join(at, strconv.Itoa(i)), where); keep {
				to = append(to, e)
			}
		}
		return to, true
	}
	return v, true
}

// changed is what a fault makes of a part of the document.
func (in *injected) changed(v document) (out document, keep bool) {
	list, isList := v.([]any)
	switch {
	case in.Absent:
		return nil, false
	case in.Value != nil:
		return *in.Value, true
	case in.JSON != nil:
		return json.RawMessage(*in.JSON), true
	case in.Reverse && isList:
		list = slices.Clone(list)
		slices.Reverse(list)
		return list, true
	}
	return v, true
}

// layout says where a document keeps its interfaces.
type layout struct {
	list  string                    // of the interfaces
	mac   string                    // an interface's key for its MAC
	spell func(metadata.MAC) string // the MAC as it is written there
}

// suits refuses a fault of a single interface's answers: one document answers for all.
func (l layout) suits(f Fault) error {
	switch {
	case f.Interface != "" && !f.shapesTree():
		return errors.New("the metadata are one document for all interfaces: of one interface it can be absent, value, json or reverse; via is for requests that came by an interface")
	case f.JSON != nil && !json.Valid([]byte(*f.JSON)):
		return fmt.Errorf("%.40q is not JSON; a body is sent as it is", *f.JSON)
	}
	return nil
}

// aim names the interface as the document does: where it is in the list depends on the moment.
func (l layout) aim(f *Fault, k Interface) { f.Interface = l.spell(k.MAC) }

// places is where a fault is at work in a document: an interface's fault follows the interface when the list of
// interfaces is in another order.
func (l layout) places(in *injected, doc document) []string {
	if in.Interface == "" {
		return places(doc, "", in.Path)
	}
	list, _ := descend(doc, l.list)
	interfaces, _ := list.([]any)
	for i, e := range interfaces {
		if mac, _ := descend(e, l.mac); mac == in.Interface {
			at := l.list + "/" + strconv.Itoa(i)
			return places(e, at, at+"/"+in.Path)
		}
	}
	return nil
}

// shape returns the document as changed by the faults that a look at the question's key would notice. The look counts,
// or is for us alone. The caller holds the lock.
func (l layout) shape(faults []*injected, doc document, q *question, count bool) (out document, ok bool) {
	ok = true
	for _, in := range faults {
		if !ok || !in.shapesTree() || in.over(q.asked.Time) || !in.concerns(q.Method, q.via) {
			continue
		}
		where := l.places(in, doc)
		seen := func(place string) bool { return below(place, q.key) || below(q.key, place) }
		if slices.ContainsFunc(where, seen) && in.strikes(count) {
			doc, ok = in.edited(doc, "", where)
		}
	}
	return doc, ok
}

// join is the path of a key of what is at a path; the document's own is empty.
func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "/" + key
}

// below says whether a path is another, or lies below it.
func below(path, dir string) bool {
	return dir == "" || path == dir || strings.HasPrefix(path, dir+"/")
}
