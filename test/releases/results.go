package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

// results are those of the tests, by release and by the test's name without the release.
type results map[string]map[string]result

// result is how a test ended on a release, and what it said of it (testing.T.Attr).
type result struct {
	Outcome string            `json:"outcome"` // pass or fail
	Commit  string            `json:"commit"`
	Date    string            `json:"date"`
	Said    map[string]string `json:"said,omitempty"` // versions, and durations as Go writes them
}

// load reads the file; that it is not there is the beginning.
func load(file string) (results, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return results{}, nil
	}
	if err != nil {
		return nil, err
	}
	r := results{}
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

func (r results) save(file string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

// merge takes over what another run has; what it did not run stays.
func (r results) merge(other results) {
	for suite, tests := range other {
		if r[suite] == nil {
			r[suite] = map[string]result{}
		}
		maps.Copy(r[suite], tests)
	}
}

// names are those of all tests, in order.
func (r results) names() (list []string) {
	for _, tests := range r {
		list = slices.AppendSeq(list, maps.Keys(tests))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// failed names the tests that did not pass.
func (r results) failed() (bad []string) {
	for suite, tests := range r {
		for name, t := range tests {
			if t.Outcome != "pass" {
				bad = append(bad, name+" on "+suite)
			}
		}
	}
	slices.Sort(bad)
	return bad
}

// verdict is an error where a test failed, or none ran.
func (r results) verdict() error {
	if bad := r.failed(); len(bad) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(bad, "; "))
	}
	if len(r) == 0 {
		return errors.New("no test that boots a release has run")
	}
	return nil
}
