package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is a line of `go test -json` (`go doc test2json`).
type event struct {
	Action, Package, Test, Output, Key, Value string
}

// suiteKey is the attribute by which a test says which release it has booted.
const suiteKey = "suite"

// read takes the results of the tests that booted a release from the events, and repeats the tests' own text. What does not
// belong to such a test (a package that does not compile, a panic) is an error.
func read(in io.Reader, out io.Writer) (results, error) {
	said, ended := map[string]map[string]string{}, map[string]string{}
	var broken []string
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(out, lines.Text()) // of the program that runs the tests
			continue
		}
		switch {
		case e.Action == "output", e.Action == "build-output":
			fmt.Fprint(out, e.Output)
		case e.Action == "attr":
			if said[e.Test] == nil {
				said[e.Test] = map[string]string{}
			}
			said[e.Test][e.Key] = e.Value
		case e.Test == "" && e.Action == "fail", e.Action == "skip":
			broken = append(broken, strings.TrimSpace(e.Package+" "+e.Test))
		case e.Action == "pass", e.Action == "fail":
			ended[e.Test] = e.Action // the last counts: test/vm/run may have to run them once more
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	all := collect(said, ended)
	if len(broken) > 0 && len(all.failed()) == 0 {
		return nil, fmt.Errorf("skipped, or failed outside of the tests that boot a release: %s", strings.Join(broken, ", "))
	}
	return all, nil
}

// collect orders by release what the tests said.
func collect(said map[string]map[string]string, ended map[string]string) results {
	r := results{}
	for test, outcome := range ended {
		suite := said[test][suiteKey]
		if suite == "" {
			continue // a test of tests, or a part of one
		}
		if r[suite] == nil {
			r[suite] = map[string]result{}
		}
		one := result{Outcome: outcome, Said: map[string]string{}}
		for key, value := range said[test] {
			if key != suiteKey {
				one.Said[key] = value
			}
		}
		r[suite][without(test, suite)] = one
	}
	return r
}

// without is a test's name without its release.
func without(test, suite string) string {
	parts := strings.Split(test, "/")
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == suite }), "/")
}
