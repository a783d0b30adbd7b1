package doctor

import (
	"bytes"
	"slices"
)

// chainSet is a set or a map of nftables, named or anonymous.
type chainSet struct {
	length int          // of a key, in bytes
	fields []int        // bytes of each part of a key; every part begins at a multiple of 4
	elems  []setElement // in the order of their keys
	rest   *setElement  // what applies to every other key; nil: none
	unread bool         // nothing is known of it
}

// setElement is an element, which stands for all keys from the one to the other in each part.
type setElement struct {
	from, to []byte
	data     attrs // of a map: NFTA_DATA_VALUE or NFTA_DATA_VERDICT
	depends  bool  // it asks for something else besides, such as a rate
}

// find lists the elements that a key may have. sure: it has one of them.
func (s chainSet) find(key bits) (found []setElement, sure bool) {
	if s.unread {
		return nil, false
	}
	next := key.lowest() // the first key that is not covered yet; nil: all are
	for _, e := range s.elems {
		if !s.overlaps(e, key) {
			continue
		}
		found = append(found, e)
		switch {
		case e.depends || next == nil:
		case len(s.fields) > 1:
			if s.holds(e, key) {
				next = nil
			}
		case bytes.Compare(e.from, next) <= 0 && bytes.Compare(e.to, next) >= 0:
			if next = successor(e.to); bytes.Compare(e.to, key.highest()) >= 0 {
				next = nil
			}
		}
	}
	if next != nil && s.rest != nil {
		return append(found, *s.rest), !s.rest.depends
	}
	return found, next == nil
}

// overlaps reports whether one of the keys may be the element's.
func (s chainSet) overlaps(e setElement, key bits) bool {
	return s.each(e, key, func(e setElement, key bits) bool {
		if bytes.Equal(e.from, e.to) {
			return key.may(e.from)
		}
		return bytes.Compare(key.highest(), e.from) >= 0 && bytes.Compare(key.lowest(), e.to) <= 0
	})
}

// holds reports whether all of the keys are the element's.
func (s chainSet) holds(e setElement, key bits) bool {
	return s.each(e, key, func(e setElement, key bits) bool {
		return bytes.Compare(key.lowest(), e.from) >= 0 && bytes.Compare(key.highest(), e.to) <= 0
	})
}

// each reports whether something is so of every part of a key.
func (s chainSet) each(e setElement, key bits, is func(setElement, bits) bool) bool {
	at := 0
	for _, n := range s.fields {
		if !is(setElement{from: e.from[at : at+n], to: e.to[at : at+n]}, key.cut(at, n)) {
			return false
		}
		at += aligned(n)
	}
	return true
}

// aligned is a length up to the end of its last register.
func aligned(n int) int { return (n + 3) &^ 3 }

// successor is the key behind another one; nil: there is none.
func successor(key []byte) []byte {
	out := slices.Clone(key)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i]++; out[i] != 0 {
			return out
		}
	}
	return nil
}

// predecessor is the key before another one, which is not the first.
func predecessor(key []byte) []byte {
	out := slices.Clone(key)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i]--; out[i] != 0xff {
			break
		}
	}
	return out
}
