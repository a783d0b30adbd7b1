package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// maxProblems bounds what one broken file puts into the journal: reading stops there.
const maxProblems = 100

// Problem is one thing that is wrong in a file. The error of Parse joins them all (errors.Join), in
// the order of the file.
type Problem struct {
	File   string
	Line   int // from 1
	Column int // from 1, in characters
	Text   string
}

// Error writes the problem the way compilers do, so that editors can jump to it.
func (p *Problem) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
}

// problems gathers what is wrong in one document.
type problems struct {
	file string
	doc  []byte
	list []*Problem
}

// add notes a problem at an offset into the document.
func (p *problems) add(offset int, format string, args ...any) {
	if p.full() {
		return
	}
	line, column := position(p.doc, offset)
	p.list = append(p.list, &Problem{File: p.file, Line: line, Column: column, Text: fmt.Sprintf(format, args...)})
}

// place is an offset as Problem writes it.
func (p *problems) place(offset int) string {
	line, column := position(p.doc, offset)
	return fmt.Sprintf("%s:%d:%d", p.file, line, column)
}

// full reports that reading on is of no use to anybody.
func (p *problems) full() bool { return len(p.list) >= maxProblems }

// err joins the problems in the order of the file, in which they need not have been found.
func (p *problems) err() error {
	slices.SortStableFunc(p.list, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	var errs []error
	for _, problem := range p.list {
		errs = append(errs, problem)
	}
	if p.full() {
		errs = append(errs, fmt.Errorf("%s: too many errors; the rest was not read", p.file))
	}
	return errors.Join(errs...)
}

// position turns an offset in bytes into a line and a column.
func position(doc []byte, offset int) (line, column int) {
	start := lineStart(doc, offset)
	return 1 + bytes.Count(doc[:start], []byte("\n")), 1 + utf8.RuneCount(doc[start:offset])
}

func lineStart(doc []byte, offset int) int { return bytes.LastIndexByte(doc[:offset], '\n') + 1 }
