package metadata

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// spots are the paths of everything in a document, "/interface/1/ipv4" and so on.
func spots(v any, at string) (out []string) {
	switch in := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(in)) {
			out = append(append(out, at+"/"+k), spots(in[k], at+"/"+k)...)
		}
	case []any:
		for i, e := range in {
			p := fmt.Sprint(at, "/", i)
			out = append(append(out, p), spots(e, p)...)
		}
	}
	return out
}

// spoilt is a copy of a document with something else at one place; missing takes the place out.
func spoilt(v any, at, path string, other any) any {
	switch in := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range in {
			if p := at + "/" + k; p != path {
				out[k] = spoilt(e, p, path, other)
			} else if other != (gap{}) {
				out[k] = other
			}
		}
		return out
	case []any:
		out := []any{}
		for i, e := range in {
			if p := fmt.Sprint(at, "/", i); p != path {
				out = append(out, spoilt(e, p, path, other))
			} else if other != (gap{}) {
				out = append(out, other)
			}
		}
		return out
	}
	return v
}

// gap stands for nothing at all.
type gap struct{}

// TestAzureEveryPart puts something else into every place of a document in turn. What is about another
// interface changes nothing; what is about the interface is an error, or unavailable, or costs the one value in
// question, but never says that there is none where something could not be read.
func TestAzureEveryPart(t *testing.T) {
	var doc any
	if err := json.Unmarshal([]byte(document(t, "three")), &doc); err != nil {
		t.Fatal(err)
	}
	read := func(v any) (Interface, error) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		n, err := parseNetwork(string(b))
		if err == nil {
			err = n.lists(secondMAC)
		}
		if err != nil {
			return Interface{}, err
		}
		n.first = primaryMAC
		n.numbers = numbers(n.macs(), n.first, nil)
		return n.iface(secondMAC), nil
	}
	whole, err := read(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range spots(doc, "") {
		for name, other := range map[string]any{
			"missing": gap{}, "null": nil, "a number": 7, "a text": "x", "empty": "", "true": true, "a list": []any{}, "a full list": []any{1, "2", nil, []any{}}, "an object": map[string]any{}, "a full object": map[string]any{"a": 1, "0": "b"},
		} {
			got, err := read(spoilt(doc, "", path, other))
			mine := strings.HasPrefix(path, "/interface/1")
			switch {
			case err != nil:
				if !mine && path != "/interface" {
					t.Errorf("%s %s: %v", path, name, err)
				}
			case !mine && !Same(got, whole):
				t.Errorf("%s %s: changes another interface to %s", path, name, said(got))
			case mine:
				checkPart(t, path+" "+name, whole, got)
			}
		}
	}
}

// checkPart wants of an interface of which one part was spoilt that no more is lost than one value, and, where
// that was the list or more, that it is not taken for a list without values.
func checkPart(t *testing.T, what string, whole, got Interface) {
	t.Helper()
	lost := func(had, has int, status Status) bool { return status != Unavailable && has < had-1 }
	if what == "/interface/1/ipv4/subnet/0 missing" {
		return // nobody can tell: the two addresses in it go, if a second reading agrees
	}
	six := strings.Contains(what, "ipv6 ") || strings.Contains(what, "ipv6/ipAddress ") // an optional part
	switch {
	case got.Addrs4.Status == Absent || got.Subnets4.Status == Absent,
		lost(len(whole.Addrs4.Value), len(got.Addrs4.Value), got.Addrs4.Status),
		lost(len(whole.Subnets4.Value), len(got.Subnets4.Value), got.Subnets4.Status):
		t.Errorf("%s: IPv4 is lost: %s", what, said(got))
	case got.Addrs6.Status == Absent && !six && !strings.Contains(what, "ipv6/ipAddress/0"):
		t.Errorf("%s: IPv6 is lost: %s", what, said(got))
	case strings.Contains(what, "/ipv4") && got.Addrs6.Status != Present, strings.Contains(what, "/ipv6") && got.Addrs4.Status != Present:
		t.Errorf("%s: the other family suffers: %s", what, said(got))
	case got.N() != whole.N() || got.Primary:
		t.Errorf("%s: number %d", what, got.N())
	}
}
