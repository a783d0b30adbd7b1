package docs_test

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"regexp"
	"testing"
)

// named are the clouds as identifiers and texts name them; addresses are those of their servers.
var (
	named     = regexp.MustCompile(`(EC2|AWS|Amazon|Azure|Microsoft|GCE|Google|OCI|Oracle|Aliyun|Alibaba|Tencent)($|[^a-z])`)
	inText    = regexp.MustCompile(`(?i)(^|[^a-z0-9-])(ec2|aws|amazon|azure|gce|google|oci|oracle|aliyun|alibaba|tencent)($|[^a-z0-9])`)
	addresses = regexp.MustCompile(`169\.254\.169\.254|168\.63\.129\.16|100\.100\.100\.200|169\.254\.0\.23|fd00:ec2|fd20:ce|fd00:c1|fd00:100`)
)

// foreign are the files that name other programs by their packages, some of which have a cloud's name in theirs.
var foreign = map[string]bool{
	"plumb/claim.go": true, "doctor/programs.go": true, "doctor/origin_files.go": true,
}

// No cloud is named outside of metadata, in no identifier and no text: what a cloud does in its own way is one of its
// traits (metadata.Traits). Comments may name the source of a fact.
func TestNoCloudIsNamed(t *testing.T) {
	seen := 0
	for folder, p := range sources(t) {
		if !p.product || folder == "metadata" {
			continue
		}
		for name, f := range p.files {
			file := filepath.Join(folder, name)
			seen++
			if foreign[file] {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch x := n.(type) {
				case *ast.ImportSpec:
					return false
				case *ast.Ident:
					if named.MatchString(x.Name) {
						t.Errorf("%s: %s names a cloud", file, x.Name)
					}
				case *ast.BasicLit:
					if x.Kind == token.STRING && (inText.MatchString(x.Value) || addresses.MatchString(x.Value)) {
						t.Errorf("%s: %.80s names a cloud", file, x.Value)
					}
				}
				return true
			})
		}
	}
	if seen < 100 {
		t.Errorf("only %d files were read", seen)
	}
}
