// Package exposition reads metrics for tests.
package exposition

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	sample  = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*)\} (\S+)$`)
	comment = regexp.MustCompile(`^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$`)
)

// parser is what was read so far.
type parser struct {
	series   map[string]float64
	done     map[string]bool   // families
	family   string            // that is being read
	said     map[string]string // of it: HELP and TYPE
	problems []error
}

// Parse reads the text format of Prometheus (prometheus.io, "Exposition formats") as strictly as its own
// linter: each family once, its help and type before its samples, which stand together; no series twice; names
// and labels well formed; counters, and only they, end in _total. It returns the values by series, as they are written,
// also beside an error.
func Parse(text string) (map[string]float64, error) {
	p := parser{series: map[string]float64{}, done: map[string]bool{}, said: map[string]string{}}
	if text == "" || !strings.HasSuffix(text, "\n") {
		p.problem("does not end with a line: %q", text)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if m := comment.FindStringSubmatch(line); m != nil {
			p.comment(line, m[1], m[2], m[3])
		} else {
			p.sample(line)
		}
	}
	return p.series, errors.Join(p.problems...)
}

func (p *parser) problem(format string, args ...any) {
	p.problems = append(p.problems, fmt.Errorf(format, args...))
}

func (p *parser) comment(line, kind, family, text string) {
	if kind == "HELP" {
		if p.done[family] {
			p.problem("%s comes twice", family)
		}
		p.done[family] = true
		p.family, p.said = family, map[string]string{}
	}
	if family != p.family || p.said[kind] != "" {
		p.problem("out of place: %s", line)
	}
	p.said[kind] = text
	if kind == "TYPE" && (text == "counter") != strings.HasSuffix(p.family, "_total") {
		p.problem("%s is a %s", p.family, text)
	}
}

func (p *parser) sample(line string) {
	m := sample.FindStringSubmatch(line)
	if m == nil || m[1] != p.family || p.said["TYPE"] == "" {
		p.problem("no sample of %s: %q", p.family, line)
		return
	}
	v, err := strconv.ParseFloat(m[3], 64)
	key := m[1] + "{" + m[2] + "}"
	if _, twice := p.series[key]; twice || err != nil {
		p.problem("twice, or no number (%v): %s", err, line)
	}
	p.series[key] = v
}
