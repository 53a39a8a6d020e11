package flotilla_test

import (
	"go/ast"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The sizes of the house (architecture section 1): what is larger holds more than one noun. A package aims at 3,500
// lines; the gate closes a little above, so that nobody cuts comments to get through.
const (
	maxFileLines     = 600
	maxFunctionLines = 70
	maxPackageLines  = 3800
	maxRootLines     = 1750 // the aim is 1,000; membership has brought a steward's ports and the way in, snapshots a store, a courier, and the ways out and back, rot a mender, imports an importer
)

// largePackages may be larger than maxPackageLines, with the reason.
var largePackages = map[string]int{
	"cmd/flotilla":          4300, // a command a file: they share settings, output and exit codes, and none knows another
	"raft/rafttest/hostsim": 5500, // a world: all of it happens to the same hosts, links and disks, and in one order
	"raft/multiraft":        5900, // the loop, its snapshots and its stepper: all are steps of one owner of a group, on the same unexported state
}

// TestSizes keeps files, functions and packages small enough to be read.
func TestSizes(t *testing.T) {
	perPackage := map[string]int{}
	for _, f := range sources(t) {
		if f.lines > maxFileLines {
			t.Errorf("%s has %d lines, %d at most: split it by noun", f.path, f.lines, maxFileLines)
		}
		if f.isTest() {
			continue
		}
		perPackage[f.pkg()] += f.lines
		for _, decl := range f.ast.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, %d at most", fset.Position(fn.Pos()), fn.Name.Name, n, maxFunctionLines)
			}
		}
	}
	for pkg, lines := range perPackage {
		limit := max(maxPackageLines, largePackages[pkg])
		if pkg == "." {
			limit = maxRootLines
		}
		if lines > limit {
			t.Errorf("package %s has %d lines, %d at most", pkg, lines, limit)
		}
	}
}

// TestPackageComments asks every package to say what it hides and guarantees, and every exported name
// of the house's API for a comment.
func TestPackageComments(t *testing.T) {
	commented := map[string]bool{}
	for _, f := range sources(t) {
		if f.isTest() {
			continue
		}
		commented[f.pkg()] = commented[f.pkg()] || len(f.ast.Doc.Text()) > 60
		for _, decl := range f.ast.Decls {
			if name, ok := undocumented(decl); ok {
				t.Errorf("%s: exported %s has no doc comment", fset.Position(decl.Pos()), name)
			}
		}
	}
	for pkg, ok := range commented {
		if !ok {
			t.Errorf("package %s has no package comment worth the name", pkg)
		}
	}
}

// undocumented returns the first exported name of a top-level declaration that has no comment at all.
func undocumented(decl ast.Decl) (string, bool) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		return d.Name.Name, d.Name.IsExported() && d.Doc == nil && exportedReceiver(d)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if s, ok := spec.(*ast.TypeSpec); ok && s.Name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
				return s.Name.Name, true
			}
		}
	}
	return "", false
}

// exportedReceiver reports whether fn is a function or a method of an exported type.
func exportedReceiver(fn *ast.FuncDecl) bool {
	if fn.Recv == nil {
		return true
	}
	exported := false
	ast.Inspect(fn.Recv, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && id.IsExported() {
			exported = true
		}
		return true
	})
	return exported
}

// TestNoSleepOutsideProcessTests: a sleep that makes a race go away is a bug waiting (style 30). Tests of a package
// that runs in bubbles of fake time may sleep there: it is an exact step then and not a hope.
func TestNoSleepOutsideProcessTests(t *testing.T) {
	files := sources(t)
	bubbles := map[string]bool{}
	for _, f := range files {
		bubbles[f.pkg()] = bubbles[f.pkg()] || f.isTest() && imports(f, "testing/synctest")
	}
	for _, f := range files {
		if f.isTest() && bubbles[f.pkg()] || f.pkg() == "integration" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == "time" && sel.Sel.Name == "Sleep" {
				t.Errorf("%s: time.Sleep outside a bubble of fake time", fset.Position(sel.Pos()))
			}
			return true
		})
	}
}

func imports(f sourceFile, path string) bool {
	return slices.ContainsFunc(f.ast.Imports, func(imp *ast.ImportSpec) bool { return imp.Path.Value == strconv.Quote(path) })
}

var (
	mappedNumber = regexp.MustCompile(`^\| *\x60?([PFND][0-9]+)\x60? *\|`)
	citedNumber  = regexp.MustCompile(`\b([PFND][1-9][0-9]?)\b`)
)

// TestPromisesAreMapped: a promise number cited by a test stands in docs/promises.md, and every file that
// docs/promises.md names exists.
func TestPromisesAreMapped(t *testing.T) {
	raw, err := os.ReadFile("docs/promises.md")
	if err != nil {
		t.Fatalf("read docs/promises.md: %v", err)
	}
	mapped := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		m := mappedNumber.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		mapped[m[1]] = true
		checkPaths(t, line)
	}
	cited := map[string]string{}
	for _, f := range sources(t) {
		if !f.isTest() || f.pkg() == "." && strings.HasPrefix(f.path, "house") {
			continue
		}
		for _, group := range f.ast.Comments {
			for _, m := range citedNumber.FindAllStringSubmatch(group.Text(), -1) {
				cited[m[1]] = f.path
			}
		}
	}
	for _, number := range slices.Sorted(maps.Keys(cited)) {
		if !mapped[number] {
			t.Errorf("%s is cited by %s but has no row in docs/promises.md", number, cited[number])
		}
	}
}

var namedPath = regexp.MustCompile(`[A-Za-z0-9_./-]+\.(?:go|txt|txtar|sh)\b`)

// checkPaths fails for each file that a row of docs/promises.md names and that is not there.
func checkPaths(t *testing.T, row string) {
	t.Helper()
	for _, p := range namedPath.FindAllString(row, -1) {
		if _, err := os.Stat(p); err != nil {
			t.Errorf("docs/promises.md names %s, which is not there", p)
		}
	}
}
