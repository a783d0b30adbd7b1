package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

const (
	mostOperators = 3 // && and || of one condition
	mostTargets   = 2 // of one assignment of several values
)

// A condition is read in one go: && inside of || stands in parentheses, everywhere; outside of the tests a condition has
// three operators at most, and an assignment of several values two targets.
func TestConditions(t *testing.T) {
	all, err := goFiles()
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range all.files {
		for _, what := range unreadable(f, strings.HasSuffix(name, "_test.go")) {
			t.Errorf("%s: %s", all.positions.Position(what.at), what.why)
		}
	}
}

type complaint struct {
	at  token.Pos
	why string
}

// unreadable lists the conditions and assignments of a file that ask for too much at once.
func unreadable(f *ast.File, test bool) (out []complaint) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if n.Op == token.LOR && (conjunction(n.X) || conjunction(n.Y)) {
				out = append(out, complaint{n.Pos(), "&& inside of || has no parentheses"})
			}
			if !test && logical(n) && operators(n) > mostOperators {
				out = append(out, complaint{n.Pos(), "a condition of more than three operators: name a part of it"})
				return false
			}
		case *ast.AssignStmt:
			if !test && len(n.Lhs) > mostTargets && len(n.Rhs) > 1 {
				out = append(out, complaint{n.Pos(), "an assignment to more than two targets: write two"})
			}
		}
		return true
	})
	return out
}

func conjunction(e ast.Expr) bool {
	b, ok := e.(*ast.BinaryExpr)
	return ok && b.Op == token.LAND
}

func logical(b *ast.BinaryExpr) bool { return b.Op == token.LAND || b.Op == token.LOR }

// operators counts && and || of a condition, but not those in a function that it calls on the spot.
func operators(e ast.Expr) (n int) {
	ast.Inspect(e, func(n2 ast.Node) bool {
		if _, ok := n2.(*ast.FuncLit); ok {
			return false
		}
		if b, ok := n2.(*ast.BinaryExpr); ok && logical(b) {
			n++
		}
		return true
	})
	return n
}

// The check sees what it is for, and nothing else.
func TestUnreadable(t *testing.T) {
	for code, want := range map[string]int{
		"_ = a && b || c":             1,
		"_ = (a && b) || c":           0,
		"_ = a || b && (c || d && e)": 2, // of four operators, and the outer ones lack parentheses
		"_ = a && b && c && d":        0,
		"_ = a && b && c && d && e":   1,
		"x, y, z = a, b, c":           1,
		"x, y, z = f()":               0,
		"x, y = a, b":                 0,
		"_ = a && func() bool { return b && c && d }() && e && a": 0,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nfunc _() {\n"+code+"\n}\n", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := unreadable(f, false); len(got) != want {
			t.Errorf("%s: %d complaints, want %d: %v", code, len(got), want, got)
		}
	}
}
