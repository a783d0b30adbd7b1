package lab

import (
	"fmt"
	"path"
	"strings"
)

// matchPath says whether a pattern matches a path: segments as in path.Match, and ** for any number of
// segments. Leading and trailing slashes do not count.
func matchPath(pattern, name string) bool {
	return matchSegments(split(pattern), split(name))
}

func split(p string) []string {
	p = strings.Trim(p, "/")
	if p == "" {
		return nil
	}
	return strings.Split(p, "/")
}

func matchSegments(pattern, name []string) bool {
	switch {
	case len(pattern) == 0:
		return len(name) == 0
	case pattern[0] == "**":
		return matchSegments(pattern[1:], name) || (len(name) > 0 && matchSegments(pattern, name[1:]))
	case len(name) == 0:
		return false
	}
	ok, err := path.Match(pattern[0], name[0])
	return err == nil && ok && matchSegments(pattern[1:], name[1:])
}

// matchAbove says whether a pattern matches a path or a directory that it lies in.
func matchAbove(pattern, name string) bool {
	return matchPath(pattern, name) || matchPath(pattern+"/**", name)
}

// checkPattern refuses a pattern that can never match.
func checkPattern(pattern string) error {
	for _, s := range split(pattern) {
		if _, err := path.Match(s, ""); err != nil {
			return fmt.Errorf("path pattern %q: %w in %q", pattern, err, s)
		}
	}
	return nil
}
