package docs_test

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// nothing stands for the packages that a file imports: for who calls whom inside a package its own types are enough.
type nothing struct{}

func (nothing) Import(path string) (*types.Package, error) {
	p := types.NewPackage(path, filepath.Base(path))
	p.MarkComplete()
	return p, nil
}

// calls are the files of a package that each of its files needs: whose functions, methods, types, constants and
// variables it names. A field is none, it comes with its type.
func calls(p pkg, positions *token.FileSet) map[string]map[string]string {
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	loose := types.Config{Importer: nothing{}, Error: func(error) {}}
	files := slices.Collect(maps.Values(p.files))
	own, _ := loose.Check("p", positions, files, info) // what comes of other packages is unknown, and the error
	out := map[string]map[string]string{}
	for id, o := range info.Uses {
		if v, ok := o.(*types.Var); o.Pkg() != own || (ok && (v.IsField() || v.Parent() != own.Scope())) {
			continue
		}
		from, to := positions.Position(id.Pos()).Filename, positions.Position(o.Pos()).Filename
		if from = filepath.Base(from); out[from] == nil {
			out[from] = map[string]string{}
		}
		if to = filepath.Base(to); from != to {
			out[from][to] = o.Name()
		}
	}
	return out
}

// circle is a way from a file back to itself, if there is one; done are the files from which there is none.
func circle(calls map[string]map[string]string, way []string, done map[string]bool) []string {
	last := way[len(way)-1]
	if i := slices.Index(way, last); i < len(way)-1 {
		return way[i:]
	}
	for _, to := range slices.Sorted(maps.Keys(calls[last])) {
		if !done[to] {
			if found := circle(calls, append(way, to), done); found != nil {
				return found
			}
		}
	}
	done[last] = true
	return nil
}

// In agent and plumb the files stand in an order, in which each calls only those below it.
func TestFilesHaveAnOrder(t *testing.T) {
	all, err := goFiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"agent", "plumb"} {
		calls, arrows, done := calls(sources(t)[folder], all.positions), 0, map[string]bool{}
		for _, to := range calls {
			arrows += len(to)
		}
		if arrows < 200 {
			t.Errorf("%s: only %d calls between files were found", folder, arrows)
		}
		for _, name := range slices.Sorted(maps.Keys(calls)) {
			way := circle(calls, []string{name}, done)
			if way == nil {
				continue
			}
			steps := []string{}
			for i := range way[1:] {
				steps = append(steps, way[i]+" needs "+calls[way[i]][way[i+1]]+" of "+way[i+1])
			}
			t.Errorf("%s: files call each other in a circle; move what is needed into a file below: %s", folder, strings.Join(steps, ", "))
			break
		}
	}
}
