// Command releases keeps the table of docs/releases.md: which test passed on which Debian, beside which versions, and
// what was measured. It reads what `go test -json` says, on standard input, and repeats its text for people.
//
//	go test -json … | releases          adds the results to docs/releases.json, and writes the table anew
//	go test -json … | releases -news    says what is otherwise than in the newest release of the table
//
// It fails where a test failed or was skipped, or where none ran.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The results, and the page whose marked part is made of them.
const (
	resultsFile = "releases.json"
	pageFile    = "releases.md"
)

func main() {
	news := flag.Bool("news", false, "say what is new against the newest release, and write nothing")
	docs := flag.String("docs", "docs", "the folder of the page and of the results")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *docs, *news); err != nil {
		fmt.Fprintln(os.Stderr, "releases:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer, docs string, news bool) error {
	seen, err := read(in, out)
	if err != nil {
		return err
	}
	known, err := load(filepath.Join(docs, resultsFile))
	if err != nil {
		return err
	}
	switch {
	case news:
		fmt.Fprintln(out, compare(known, seen))
	default:
		stamp(seen, commit(), time.Now())
		known.merge(seen)
		err = errors.Join(known.save(filepath.Join(docs, resultsFile)), write(filepath.Join(docs, pageFile), known))
	}
	return errors.Join(err, seen.verdict())
}

// commit names the state of the sources that was tested.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=7", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// stamp says of each result when and on what it was had.
func stamp(r results, commit string, now time.Time) {
	for _, tests := range r {
		for name, t := range tests {
			t.Commit, t.Date = commit, now.UTC().Format(time.DateOnly)
			tests[name] = t
		}
	}
}
