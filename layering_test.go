package flotilla_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// storeys is the map of the house: a package may import only packages of a lower storey
// (docs/ARCHITECTURE.md). A package that is not listed fails the test, so that nobody adds a room without
// saying where it stands.
var storeys = map[string]int{
	"internal/gobuild":    -1,
	"internal/crashpoint": -1,
	"internal/mutant":     -1, // the cellar: whoever wants to be tried stands on it

	"internal/assert":    0,
	"internal/diskspace": 0,
	"internal/eventlog":  0,
	"internal/fanout":    0,
	"internal/histogram": 0,
	"internal/leak":      0,
	"internal/progress":  0,
	"internal/typo":      0,
	"epoch":              0,
	"raft/wire":          0,

	"raft/quorum":            1,
	"raft/progress":          1,
	"raft/membership":        1,
	"catalog":                1,
	"quictransport/framing":  1,
	"quictransport/pki":      1,
	"raft/logstore/boltfile": 1,
	"snapshotstream":         1,

	"catalog/birth":     2,
	"catalog/restore":   3,
	"catalog/steward":   3,
	"catalog/placement": 2,
	"raft/logstore":     2,
	"quictransport":     2,

	"snapshotstream/archive":      2,
	"snapshotstream/courier":      3,
	"snapshotstream/shelf":        2,
	"snapshotstream/snapshottest": 2,

	"internal/autopsy":           3,
	"internal/scrub":             3,
	"raft":                       3,
	"raft/logstore/logstoretest": 3,
	"quictransport/quictest":     3,

	"raft/multiraft":             4,
	"raft/multiraft/machinetest": 5,
	"raft/rafttest/replay":       3,
	"raft/rafttest":              4,
	"raft/rafttest/fencemodel":   4,

	".":                    5,
	"client/protocol":      5,
	"raft/rafttest/script": 5,

	"kv":             6,
	"kv/ledger":      6,
	"client":         6,
	"server/metrics": 6,

	"raft/rafttest/hostsim/check": 7,
	"raft/rafttest/hostsim/depot": 7,
	"server":                      7,

	"raft/rafttest/hostsim": 8,

	"cmd/flotilla":                8,
	"internal/mutant/cmd/mutants": 8,
	"raft/rafttest/cmd/sim":       9,
	"integration":                 9,
}

// sourceFile is one Go file of the module, parsed.
type sourceFile struct {
	path  string // slash-separated, from the module's root
	lines int
	ast   *ast.File
}

func (f sourceFile) pkg() string  { return path.Dir(f.path) }
func (f sourceFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

var fset = token.NewFileSet()

// sources parses every Go file of this module; modules nested in it are not part of it.
func sources(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || isModule(p)) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		f, err := parser.ParseFile(fset, p, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, sourceFile{path: filepath.ToSlash(p), lines: fset.File(f.FileStart).LineCount(), ast: f})
		return nil
	})
	if err != nil {
		t.Fatalf("read the module's sources: %v", err)
	}
	if len(files) == 0 {
		t.Fatal("no Go file found: this test would check nothing")
	}
	return files
}

func isModule(dir string) bool {
	found, _ := filepath.Glob(filepath.Join(dir, "go.mod"))
	return len(found) > 0
}

// TestImportsPointDown holds the binding rule of the design: imports point to a lower storey only.
func TestImportsPointDown(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range sources(t) {
		from, listed := storeys[f.pkg()]
		if !listed {
			t.Errorf("%s: package %q has no storey: add it to the map in layering_test.go and to docs/ARCHITECTURE.md", f.path, f.pkg())
			continue
		}
		seen[f.pkg()] = true
		if f.isTest() {
			continue // a test may reach up: it stands outside the house
		}
		for _, imp := range f.ast.Imports {
			to, ours := ourPackage(strings.Trim(imp.Path.Value, `"`))
			if !ours {
				continue
			}
			if storey, ok := storeys[to]; !ok || storey >= from {
				t.Errorf("%s (storey %d) imports %s (storey %d): imports point down only", f.path, from, to, storey)
			}
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(storeys)) {
		if !seen[pkg] {
			t.Errorf("package %q is on the map but has no Go file", pkg)
		}
	}
}

// ourPackage returns an import path relative to the module's root.
func ourPackage(imp string) (string, bool) {
	if imp == "flotilla" {
		return ".", true
	}
	return strings.CutPrefix(imp, "flotilla/")
}

// TestPurePackages keeps the wall between correctness and luck: what must be a pure function
// of its inputs imports no clock, no scheduler, no I/O.
func TestPurePackages(t *testing.T) {
	pure := []string{"raft", "raft/quorum", "raft/progress", "raft/membership", "raft/wire", "catalog/placement", "internal/assert", "internal/mutant"}
	forbidden := []string{"time", "os", "io/fs", "net", "log", "log/slog", "sync", "sync/atomic", "context", "runtime", "crypto/rand"}
	for _, f := range sources(t) {
		if f.isTest() || !slices.Contains(pure, f.pkg()) || f.path == "internal/mutant/on.go" {
			continue // that file alone asks the environment: it is in no build without the tag "mutants"
		}
		for _, imp := range f.ast.Imports {
			if p := strings.Trim(imp.Path.Value, `"`); slices.Contains(forbidden, p) {
				t.Errorf("%s imports %s: the core has no clock, no goroutine and no I/O", f.path, p)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s: a goroutine in a pure package", fset.Position(g.Pos()))
			}
			return true
		})
	}
}
