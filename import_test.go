package flotilla_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"flotilla"
	"flotilla/snapshotstream"
)

// notes is a machine with a large state: each command is a line, a query says how many of which bytes.
type notes struct {
	lines    []string
	restored func() // by the machine's own goroutine
}

func (n *notes) Apply(batch []flotilla.Command) ([][]byte, error) {
	for _, c := range batch {
		n.lines = append(n.lines, string(c.Data))
	}
	return make([][]byte, len(batch)), nil
}

func (n *notes) Query([]byte) ([]byte, error) { return []byte(strings.Join(n.lines, "\n")), nil }

func (n *notes) Freeze() (flotilla.Frozen, error) {
	return frozenCounter{bytes.NewReader([]byte(strings.Join(n.lines, "\n")))}, nil
}

func (n *notes) Restore(_ flotilla.Index, state io.Reader) error {
	b, err := io.ReadAll(state)
	if err != nil {
		return err
	}
	if bytes.Contains(b, []byte("poison")) {
		return errors.New("poison")
	}
	n.lines = strings.Split(string(b), "\n")
	if n.restored != nil {
		n.restored()
	}
	return nil
}

func withNotes(cfg *flotilla.Config) {
	cfg.SnapshotThreshold, cfg.SnapshotChunk = 16<<10, 4<<10
	cfg.Kinds = map[string]flotilla.Kind{
		"notes": {New: func(flotilla.GroupID) flotilla.StateMachine { return &notes{} }},
		"plain": {New: func(flotilla.GroupID) flotilla.StateMachine { return &counter{} }},
	}
}

// exported returns an export of a new group of n notes.
func exported(t *testing.T, c *testCluster, n int, more ...string) (export []byte, answer string) {
	t.Helper()
	id, err := c.hosts[1].Admin().CreateGroup(t.Context(), "notes", nil)
	check(t, err)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := w; i < n; i += 8 {
				_, err := propose(c.hosts[1], id, fmt.Sprintf("%d: %s", i, strings.Repeat("x", 40)))
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	for _, m := range more {
		_, err := propose(c.hosts[1], id, m)
		check(t, err)
	}
	var out bytes.Buffer
	exportAnywhere(t, c, id, &out)
	return out.Bytes(), ask(t, c.hosts[1], id)
}

func ask(t *testing.T, h *flotilla.Host, id flotilla.GroupID) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		answer, err := h.Group(id).Query(ctx, nil)
		if err == nil {
			return string(answer)
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		pause(ctx)
	}
}

// checkImported says what stands against group id having answer's state on all nodes, and taking more.
func checkImported(t *testing.T, c *testCluster, id flotilla.GroupID, answer string) {
	t.Helper()
	for n, h := range c.hosts {
		if got := ask(t, h, id); got != answer {
			t.Fatalf("node %d: %d bytes instead of %d", n, len(got), len(answer))
		}
	}
	_, err := propose(c.hosts[1], id, "one more")
	check(t, err)
	if got := ask(t, c.hosts[1], id); got != answer+"\none more" {
		t.Fatal("it does not go on")
	}
	g, _ := c.hosts[1].View().FindGroup(id)
	if len(g.Members.Voters) != min(3, len(c.hosts)) || slices.Contains(c.hosts[1].Routing().Shards[:], id) {
		t.Fatalf("%+v", g)
	}
}

// TestImportGroup: what was exported is a group of its own, in this cluster and in another one, with the answers it had, while other groups
// are written; the one that it was exported of stays what it is. Two at once do not mix.
func TestImportGroup(t *testing.T) {
	c := newCluster(t, 3)
	c.change = withNotes
	c.openAll()
	export, answer := exported(t, c, 3000)
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() {
		for ctx.Err() == nil {
			add(t, c.hosts[2], 1, 1)
		}
	})
	ids := make([]flotilla.GroupID, 2)
	var both sync.WaitGroup
	for n := range ids {
		both.Go(func() {
			var err error
			if ids[n], err = c.hosts[flotilla.NodeID(n+1)].Admin().ImportGroup(t.Context(), "notes", bytes.NewReader(export)); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	stop()
	load.Wait()
	if ids[0] == ids[1] || ids[0] < 4 || ids[1] < 4 {
		t.Fatalf("groups %v", ids)
	}
	for _, id := range ids {
		checkImported(t, c, id, answer)
	}
	if got := ask(t, c.hosts[1], 3); got != answer {
		t.Fatal("the group that was exported is another one")
	}

	other := newCluster(t, 1)
	other.change = withNotes
	other.openAll()
	id, err := other.hosts[1].Admin().ImportGroup(t.Context(), "notes", bytes.NewReader(export))
	check(t, err)
	checkImported(t, other, id, answer)
	other.close(1)
	other.openAll()
	if got := ask(t, other.hosts[1], id); got != answer+"\none more" {
		t.Fatal("a restart changes it")
	}
}

// files lists what a node keeps of snapshots.
func files(t *testing.T, c *testCluster, node flotilla.NodeID) (names []string) {
	t.Helper()
	dir := filepath.Join(c.dir, fmt.Sprintf("node-%d", node))
	for _, sub := range []string{"snap", "recv"} {
		check(t, filepath.WalkDir(filepath.Join(dir, sub), func(path string, d os.DirEntry, err error) error {
			if rel, _ := filepath.Rel(dir, path); err == nil && rel != sub {
				names = append(names, rel)
			}
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return err
		}))
	}
	return names
}

// tidy waits until node has no import under way, nothing of a group that there is not, and as many live groups as before.
func tidy(t *testing.T, c *testCluster, node flotilla.NodeID, live []flotilla.GroupID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		h := c.hosts[node]
		var stray []string
		for _, name := range files(t, c, node) {
			if !slices.ContainsFunc(live, func(g flotilla.GroupID) bool { return strings.HasPrefix(name, "snap/"+g.String()) }) {
				stray = append(stray, name)
			}
		}
		replicas := len(h.Replicas())
		if len(h.View().Imports) == 0 && len(stray) == 0 && slices.Equal(h.Groups(), live) && replicas <= len(live) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("imports %+v, files %v, groups %v instead of %v, %d replicas", h.View().Imports, stray, h.Groups(), live, replicas)
		}
		pause(ctx)
	}
}

// TestImportRefused: what cannot be imported leaves nothing, and says why; what is no export at all does not even take an id.
func TestImportRefused(t *testing.T) {
	c := newCluster(t, 1)
	c.change = withNotes
	c.openAll()
	h := c.hosts[1]
	good, _ := exported(t, c, 200)
	bad, _ := exported(t, c, 3, "poison")
	live := h.Groups()
	var meta bytes.Buffer
	exportAnywhere(t, c, 0, &meta)
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	newer := bytes.Clone(good)
	newer[7]++
	before := len(h.View().Groups)
	for what, try := range map[string]struct {
		kind string
		r    io.Reader
		code flotilla.Code
		is   error
	}{
		"nothing":      {"notes", strings.NewReader(""), flotilla.CodeBadRequest, snapshotstream.ErrCorrupt},
		"cut off":      {"notes", bytes.NewReader(good[:len(good)-1]), flotilla.CodeBadRequest, snapshotstream.ErrCorrupt},
		"going on":     {"notes", io.MultiReader(bytes.NewReader(good), strings.NewReader("x")), flotilla.CodeBadRequest, snapshotstream.ErrCorrupt},
		"flipped":      {"notes", bytes.NewReader(flipped), flotilla.CodeBadRequest, snapshotstream.ErrCorrupt},
		"other header": {"notes", bytes.NewReader(newer), flotilla.CodeBadRequest, snapshotstream.ErrCorrupt},
		"group 0":      {"notes", &meta, flotilla.CodeBadRequest, nil},
		"no such kind": {"queue", bytes.NewReader(good), flotilla.CodeBadRequest, nil},
		"lost source":  {"notes", io.MultiReader(bytes.NewReader(good[:9000]), iotest.ErrReader(io.ErrNoProgress)), 0, io.ErrNoProgress},
	} {
		id, err := h.Admin().ImportGroup(t.Context(), try.kind, try.r)
		if id != 0 || err == nil || flotilla.CodeOf(err) != try.code || try.is != nil && !errors.Is(err, try.is) {
			t.Errorf("%s: group %d, %v", what, id, err)
		}
		tidy(t, c, 1, live)
	}
	if now := len(h.View().Groups); now != before {
		t.Errorf("%d groups instead of %d", now, before)
	}
	for what, try := range map[string]struct {
		kind string
		r    []byte
		says string
	}{
		"machine without snapshots":      {"plain", good, "Snapshotter"},
		"state that the machine refuses": {"notes", bad, "poison"},
	} {
		id, err := h.Admin().ImportGroup(t.Context(), try.kind, bytes.NewReader(try.r))
		if id != 0 || flotilla.CodeOf(err) != flotilla.CodeBadRequest || !strings.Contains(err.Error(), try.says) {
			t.Errorf("%s: group %d, %v", what, id, err)
		}
		tidy(t, c, 1, live)
	}
	id, err := h.Admin().ImportGroup(t.Context(), "notes", bytes.NewReader(good))
	check(t, err)
	if want := flotilla.GroupID(before + 2); id != want { // D54: two tombstones
		t.Errorf("group %d, want %d", id, want)
	}
}

// TestImportCutOff: D54, N8. A node that stops in the middle of an import, at any of its steps, has nothing of it after the next start, or all; and
// it can be done again.
func TestImportCutOff(t *testing.T) {
	for _, step := range []string{"staged", "reserved", "named", "restored", "announced"} {
		t.Run(step, func(t *testing.T) { cutOffAt(t, step) })
	}
}

func cutOffAt(t *testing.T, step string) {
	c := newCluster(t, 1)
	armed := ""
	var made sync.Map // groups of this kind, since it was emptied
	reached, never := make(chan struct{}), make(chan struct{})
	var parked sync.WaitGroup
	defer parked.Wait()
	defer close(never)
	here := func(at string) {
		if armed == at { // the process that is here ends: nothing of it goes on
			armed = ""
			close(reached)
			<-never
			runtime.Goexit()
		}
	}
	c.change = func(cfg *flotilla.Config) {
		withNotes(cfg)
		cfg.Kinds["notes"] = flotilla.Kind{New: func(g flotilla.GroupID) flotilla.StateMachine {
			made.Store(g, true)
			here("reserved")
			return &notes{restored: func() { here("restored") }}
		}}
	}
	c.openAll()
	export, answer := exported(t, c, 500)
	live := c.hosts[1].Groups()
	h := c.hosts[1]
	armed = step
	if step == "named" {
		armed = "reserved" // and its snapshot is made below
	}
	r := io.MultiReader(bytes.NewReader(export), readerFunc(func([]byte) (int, error) { here("staged"); return 0, io.EOF }))
	parked.Go(func() { _, _ = h.Admin().ImportGroup(context.Background(), "notes", r) })
	if step == "announced" {
		for v := range h.Topology(t.Context()) {
			if g, found := v.FindGroup(live[len(live)-1] + 1); found && !g.Deleted {
				live = append(live, g.ID)
				break
			}
		}
	} else {
		<-reached
	}
	check(t, h.Kill())
	delete(c.hosts, 1)
	if step == "named" {
		store, err := snapshotstream.Open(snapshotstream.Config{Dir: filepath.Join(c.dir, "node-1")})
		check(t, err)
		w, err := store.Create(snapshotstream.State{Group: live[len(live)-1] + 1, Index: 9, Term: 1, Membership: h.View().Groups[1].Members})
		check(t, err)
		_, err = w.Commit()
		check(t, err)
	}
	if step != "announced" && len(files(t, c, 1)) == 0 {
		t.Error("nothing was begun: this test would check nothing")
	}
	made.Clear()
	c.openAll()
	if _, known := made.Load(live[len(live)-1] + 1); step == "restored" && !known {
		t.Error("its replica has a machine of another kind: group 0 may have made it a group")
	}
	tidy(t, c, 1, live)
	if step == "announced" {
		checkImported(t, c, live[len(live)-1], answer)
	}
	id, err := c.hosts[1].Admin().ImportGroup(t.Context(), "notes", bytes.NewReader(export))
	check(t, err)
	checkImported(t, c, id, answer)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// TestImportGivenUp: who does not wait any longer, or whose group an operator deletes meanwhile, leaves nothing either.
func TestImportGivenUp(t *testing.T) {
	c := newCluster(t, 1)
	var meanwhile func(flotilla.GroupID)
	var before func()
	c.change = func(cfg *flotilla.Config) {
		withNotes(cfg)
		kinds := maps.Clone(cfg.Kinds)
		kinds["notes"] = flotilla.Kind{New: func(g flotilla.GroupID) flotilla.StateMachine {
			if before != nil {
				before()
			}
			return &notes{restored: func() {
				if meanwhile != nil {
					meanwhile(g)
				}
			}}
		}}
		cfg.Kinds = kinds
	}
	c.openAll()
	h := c.hosts[1]
	export, _ := exported(t, c, 500)
	live := h.Groups()
	meanwhile = func(id flotilla.GroupID) { check(t, h.Admin().DeleteGroup(t.Context(), id)) }
	if id, err := h.Admin().ImportGroup(t.Context(), "notes", bytes.NewReader(export)); id != 0 || err == nil {
		t.Errorf("deleted: group %d, %v", id, err)
	}
	tidy(t, c, 1, live)
	ctx, leave := context.WithCancel(t.Context())
	meanwhile = func(flotilla.GroupID) { leave() }
	if id, err := h.Admin().ImportGroup(ctx, "notes", bytes.NewReader(export)); id != 0 || err == nil {
		t.Errorf("left: group %d, %v", id, err)
	}
	tidy(t, c, 1, live)
	ctx, leave = context.WithCancel(t.Context())
	meanwhile, before = nil, leave // the log is laid without anybody who waits for that
	if id, err := h.Admin().ImportGroup(ctx, "notes", bytes.NewReader(export)); id != 0 || err == nil {
		t.Errorf("left before the log was there: group %d, %v", id, err)
	}
	tidy(t, c, 1, live)
}
