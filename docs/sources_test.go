package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// pkg is what a folder declares.
type pkg struct {
	product bool                 // part of the program, not of the tests, the lab or the packaging
	files   map[string]*ast.File // without the tests, by their names in the folder
	names   map[string]bool      // functions, types, constants and variables, methods, and Type.method and Type.field
}

// packages are the repository's, by their folders.
type packages map[string]pkg

// trees are the repository's Go files, by their paths from here, and where their positions stand.
type trees struct {
	files     map[string]*ast.File
	positions *token.FileSet
}

var goFiles = sync.OnceValues(func() (trees, error) {
	all := trees{map[string]*ast.File{}, token.NewFileSet()}
	return all, filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case !strings.HasSuffix(name, ".go"):
			return nil
		}
		all.files[name], err = parser.ParseFile(all.positions, name, nil, parser.SkipObjectResolution)
		return err
	})
})

var parsed = sync.OnceValues(func() (packages, error) {
	all := packages{}
	files, err := goFiles()
	if err != nil {
		return nil, err
	}
	for name, f := range files.files {
		folder, _ := filepath.Rel("..", filepath.Dir(name))
		if folder == "docs" {
			continue
		}
		p, ok := all[folder]
		if !ok {
			top, _, _ := strings.Cut(folder, "/")
			p = pkg{top != "test" && top != "packaging" && folder != "cmd/ec2net-lab", map[string]*ast.File{}, map[string]bool{}}
			all[folder] = p
		}
		if !strings.HasSuffix(name, "_test.go") {
			p.files[filepath.Base(name)] = f
		}
		for _, decl := range f.Decls {
			declared(decl, p.names)
		}
	}
	return all, nil
})

func sources(t *testing.T) packages {
	t.Helper()
	all, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// declared notes what a declaration declares.
func declared(decl ast.Decl, names map[string]bool) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		names[d.Name.Name] = true
		if d.Recv != nil {
			names[receiver(d.Recv.List[0].Type)+"."+d.Name.Name] = true
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.ValueSpec:
				for _, n := range s.Names {
					names[n.Name] = true
				}
			case *ast.TypeSpec:
				names[s.Name.Name] = true
				for _, f := range fields(s.Type) {
					names[s.Name.Name+"."+f] = true
				}
			}
		}
	}
}

func receiver(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.StarExpr:
		return receiver(x.X)
	case *ast.IndexExpr:
		return receiver(x.X)
	case *ast.Ident:
		return x.Name
	}
	return ""
}

// fields are those of a struct, and the methods of an interface.
func fields(e ast.Expr) (out []string) {
	var list *ast.FieldList
	switch x := e.(type) {
	case *ast.StructType:
		list = x.Fields
	case *ast.InterfaceType:
		list = x.Methods
	default:
		return nil
	}
	for _, f := range list.List {
		for _, n := range f.Names {
			out = append(out, n.Name)
		}
	}
	return out
}

// constant is one that is written down as a value: a number, a time in nanoseconds or a text.
type constant struct {
	name  string
	value int64
	time  bool
	text  string
}

// constants are those of a file. The timing of the DHCP client and the defaults of the configuration are literals in
// functions; they count with the function's name before theirs.
func constants(f *ast.File) (out []constant) {
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.CONST {
					for i, v := range s.Values {
						out = append(out, evaluated(s.Names[i].Name, v)...)
					}
				}
			}
		case *ast.FuncDecl:
			if d.Name.Name == "defaultTiming" || d.Name.Name == "Default" {
				out = append(out, literals(d)...)
			}
		}
	}
	return out
}

func literals(d *ast.FuncDecl) (out []constant) {
	ast.Inspect(d, func(n ast.Node) bool {
		l, ok := n.(*ast.CompositeLit)
		if !ok || l.Type == nil { // of a list's element
			return !ok
		}
		for _, e := range l.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok {
				if key, ok := kv.Key.(*ast.Ident); ok {
					out = append(out, evaluated(d.Name.Name+"."+key.Name, kv.Value)...)
				}
			}
		}
		return true
	})
	return out
}

func evaluated(name string, e ast.Expr) []constant {
	if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
		s, _ := strconv.Unquote(l.Value)
		return []constant{{name: name, text: s}}
	}
	if n, isTime, ok := number(e); ok {
		return []constant{{name: name, value: n, time: isTime}}
	}
	return nil
}

// number is the value of an expression of literals and of time's units.
func number(e ast.Expr) (n int64, isTime, ok bool) {
	switch x := e.(type) {
	case *ast.BasicLit:
		n, err := strconv.ParseInt(x.Value, 0, 64)
		return n, false, err == nil
	case *ast.SelectorExpr:
		pkg, _ := x.X.(*ast.Ident)
		unit, known := map[string]time.Duration{"Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute, "Hour": time.Hour}[x.Sel.Name]
		return int64(unit), true, known && pkg != nil && pkg.Name == "time"
	case *ast.BinaryExpr:
		a, timeA, okA := number(x.X)
		b, timeB, okB := number(x.Y)
		switch {
		case !okA || !okB:
		case x.Op == token.MUL:
			return a * b, timeA || timeB, true
		case x.Op == token.SHL:
			return a << b, false, true
		}
	}
	return 0, false, false
}

// is tells whether a text of the page, such as "10 s" or "64 KiB", is the value.
func (c constant) is(text string) bool {
	amount, unit, _ := strings.Cut(text, " ")
	units := map[string]int64{
		"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "bytes": 1,
		"ms": int64(time.Millisecond), "s": int64(time.Second), "min": int64(time.Minute), "h": int64(time.Hour),
	}
	n, err := strconv.ParseFloat(amount, 64)
	return err == nil && units[unit] != 0 && int64(n*float64(units[unit])) == c.value
}
