package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table writes the report for a person.
func (r Report) table(w io.Writer) error {
	lines := [][]string{{"", "ec2net", "floor", "ratio", "aim", ""}}
	for _, p := range r.Parts {
		lines = append(lines, []string{p.Title})
		for _, row := range p.Rows {
			lines = append(lines, row.cells())
		}
		if p.Floor != "" {
			lines = append(lines, []string{"  floor: " + p.Floor})
		}
		lines = append(lines, nil)
	}
	text := fmt.Sprintf("ec2net %s, Linux %s, %d CPUs; median (least–most) of the runs\n\n%s", r.Version, r.Kernel, r.CPUs, align(lines))
	_, err := io.WriteString(w, strings.TrimRight(text, "\n")+"\n")
	return err
}

func (r Row) cells() []string {
	cells := []string{"  " + r.What, r.EC2net.cell(r.Unit), "", "", "", string(r.Verdict)}
	if r.Floor != nil {
		cells[2] = r.Floor.cell(r.Unit)
	}
	if r.Ratio > 0 {
		cells[3] = number(r.Ratio) + " ×"
	}
	if r.Aim != nil {
		cells[4] = r.Aim.cell(r.Unit)
	}
	return cells
}

func (s Sample) cell(unit string) string {
	switch {
	case s.Runs == 0:
		return "–"
	case number(s.Min) == number(s.Max):
		return withUnit(number(s.Median), unit)
	}
	return fmt.Sprintf("%s (%s–%s)", withUnit(number(s.Median), unit), number(s.Min), number(s.Max))
}

func (a Aim) cell(unit string) string {
	if a.Ratio {
		return "≤ " + number(a.Most) + " ×"
	}
	return "≤ " + withUnit(number(a.Most), unit)
}

func withUnit(s, unit string) string {
	if unit == "" {
		return s
	}
	return s + " " + unit
}

// align makes columns. A line of one cell is a heading or a note and takes no part in them.
func align(lines [][]string) string {
	width := map[int]int{}
	for _, cells := range lines {
		for i, c := range cells {
			if len(cells) > 1 {
				width[i] = max(width[i], utf8.RuneCountInString(c))
			}
		}
	}
	var b strings.Builder
	for _, cells := range lines {
		var line strings.Builder
		for i, c := range cells {
			line.WriteString(c)
			if len(cells) > 1 {
				line.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(c)+2))
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}
