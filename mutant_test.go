package flotilla_test

import (
	"go/ast"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"flotilla/internal/mutant"
)

// TestMutantsArePlanted: every mutant of the table is asked for in the package that it names and in no other, and the
// test that has to find it exists. Tests never ask: what they do must not depend on what they look for.
func TestMutantsArePlanted(t *testing.T) {
	files := sources(t)
	asked, tests := map[mutant.Name]map[string]bool{}, map[string]bool{}
	names := mutantNames(t, files)
	for _, f := range files {
		if f.isTest() {
			for _, decl := range f.ast.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok {
					tests[f.pkg()+" "+fn.Name.Name] = true
				}
			}
		}
		for _, ident := range questions(f.ast) {
			name, known := names[ident]
			if !known || f.isTest() && f.pkg() != "internal/mutant" {
				t.Errorf("%s asks for mutant.%s", f.path, ident)
			}
			if asked[name] == nil {
				asked[name] = map[string]bool{}
			}
			if !f.isTest() {
				asked[name][f.pkg()] = true
			}
		}
	}
	for _, m := range mutant.All() {
		if got := slices.Sorted(maps.Keys(asked[m.Name])); !slices.Equal(got, []string{m.Package}) {
			t.Errorf("mutant %s is planted in %v, the table says %s", m.Name, got, m.Package)
		}
		if !tests[testOf(m.Killer)] {
			t.Errorf("mutant %s: there is no test %q", m.Name, m.Killer)
		}
	}
}

// testOf takes the subtest off a killer: package, blank, test.
func testOf(killer string) string {
	pkg, test, _ := strings.Cut(killer, " ")
	test, _, _ = strings.Cut(test, "/")
	return pkg + " " + test
}

// mutantNames are the constants of the tables: identifier to name.
func mutantNames(t *testing.T, files []sourceFile) map[string]mutant.Name {
	t.Helper()
	names := map[string]mutant.Name{}
	for _, f := range files {
		if !strings.HasPrefix(f.path, "internal/mutant/table") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				names[spec.Names[0].Name] = mutant.Name(text)
			}
			return true
		})
	}
	if len(names) != len(mutant.All()) {
		t.Fatalf("%d names, %d rows in the table", len(names), len(mutant.All()))
	}
	return names
}

// questions are the identifiers X of every mutant.Is(mutant.X) in file.
func questions(file *ast.File) []string {
	var list []string
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || !isMutant(call.Fun, "Is") || len(call.Args) != 1 {
			return true
		}
		if sel, ok := call.Args[0].(*ast.SelectorExpr); ok {
			list = append(list, sel.Sel.Name)
		}
		return true
	})
	return list
}

// isMutant reports whether e is mutant.name.
func isMutant(e ast.Expr, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == "mutant"
}
