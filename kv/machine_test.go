package kv

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flotilla/raft/multiraft"
	"flotilla/raft/wire"
)

// apply runs commands in one batch and returns their results.
func apply(t testing.TB, m *Machine, cs ...Command) []Result {
	t.Helper()
	batch := make([]multiraft.Command, len(cs))
	for i := range cs {
		batch[i] = multiraft.Command{Index: wire.Index(i + 1), Term: 1, Data: AppendCommand(nil, &cs[i])}
	}
	raw, err := m.Apply(batch)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	results := make([]Result, len(raw))
	for i := range raw {
		if results[i], err = DecodeResult(raw[i]); err != nil {
			t.Fatalf("DecodeResult: %v", err)
		}
	}
	return results
}

func put(key, value string) Command {
	return Command{Op: OpPut, Key: []byte(key), Value: []byte(value)}
}

func get(t testing.TB, m *Machine, key string) (Item, bool) {
	t.Helper()
	raw, err := m.Query(AppendGet(nil, []byte(key)))
	if err != nil {
		t.Fatalf("Query get %q: %v", key, err)
	}
	it, ok, err := DecodeValue(raw)
	if err != nil {
		t.Fatalf("DecodeValue: %v", err)
	}
	return it, ok
}

func stats(t testing.TB, m *Machine) Stats {
	t.Helper()
	raw, err := m.Query(AppendStats(nil))
	if err != nil {
		t.Fatalf("Query stats: %v", err)
	}
	s, err := DecodeStats(raw)
	if err != nil {
		t.Fatalf("DecodeStats: %v", err)
	}
	return s
}

// scanAll pages through prefix with pages of limit items.
func scanAll(t testing.TB, m *Machine, prefix string, limit int) (items []Item, pages int) {
	t.Helper()
	s := Scan{Prefix: []byte(prefix), Limit: limit}
	for {
		raw, err := m.Query(AppendScan(nil, s))
		if err != nil {
			t.Fatalf("Query scan: %v", err)
		}
		page, err := DecodePage(raw)
		if err != nil {
			t.Fatalf("DecodePage: %v", err)
		}
		items = append(items, page.Items...)
		pages++
		if !page.More {
			return items, pages
		}
		s.After = page.Items[len(page.Items)-1].Key
	}
}

// TestMachineAgainstMap drives a machine and a plain map with the same random commands and compares every
// result, every value and the order of scans.
func TestMachineAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	m := New()
	type entry struct {
		value    string
		revision Revision
	}
	model := map[string]entry{}
	var revision Revision
	for range 20_000 {
		key := fmt.Sprintf("k%03d", rng.IntN(200))
		old, exists := model[key]
		c := put(key, fmt.Sprintf("v%d", rng.Uint64()))
		if rng.IntN(3) == 0 {
			c.Op, c.Value = OpDelete, nil
		}
		if rng.IntN(2) == 0 {
			c.Require = AtRevision(old.revision + Revision(rng.IntN(2)))
		}
		want := Result{Status: StatusOK}
		switch required, conditional := c.Require.Revision(); {
		case conditional && required != old.revision:
			want = Result{Status: StatusConflict, Revision: old.revision}
		case c.Op == OpDelete && !exists:
			want = Result{Status: StatusNotFound}
		case c.Op == OpDelete:
			revision++
			want.Revision = revision
			delete(model, key)
		default:
			revision++
			want.Revision = revision
			model[key] = entry{string(c.Value), revision}
		}
		if got := apply(t, m, c)[0]; got != want {
			t.Fatalf("%+v: got %+v, want %+v", c, got, want)
		}
		it, ok := get(t, m, key)
		if e, exists := model[key]; ok != exists || string(it.Value) != e.value || it.Revision != e.revision {
			t.Fatalf("get %s: got %+v %v, want %+v %v", key, it, ok, e, exists)
		}
	}
	var want []Item
	for _, key := range slices.Sorted(maps.Keys(model)) {
		want = append(want, Item{Key: []byte(key), Value: []byte(model[key].value), Revision: model[key].revision})
	}
	got, _ := scanAll(t, m, "", 7)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("scan differs (-want +got):\n%s", diff)
	}
	size := 0
	for key, e := range model {
		size += len(key) + len(e.value)
	}
	if s := stats(t, m); s.Keys != uint64(len(model)) || s.Bytes != uint64(size) || s.Revision != revision {
		t.Fatalf("stats %+v, want %d keys, %d bytes, revision %d", s, len(model), size, revision)
	}
}

func TestPreconditionsOfAbsentKeys(t *testing.T) {
	m := New()
	create := put("a", "1")
	create.Require = AtRevision(0)
	never := put("a", "2")
	never.Require = AtRevision(math.MaxUint64)
	got := apply(t, m, create, create, never, Command{Op: OpDelete, Key: []byte("b"), Require: AtRevision(3)},
		Command{Op: OpDelete, Key: []byte("b"), Require: AtRevision(0)})
	want := []Result{
		{Status: StatusOK, Revision: 1},
		{Status: StatusConflict, Revision: 1},
		{Status: StatusConflict, Revision: 1},
		{Status: StatusConflict, Revision: 0},
		{Status: StatusNotFound},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestInvalidWritesChangeNothing(t *testing.T) {
	m := New()
	h := m.Hash()
	for name, c := range map[string]Command{
		"empty key":   {Op: OpPut, Value: []byte("x")},
		"long key":    {Op: OpPut, Key: make([]byte, MaxKeyBytes+1)},
		"large value": {Op: OpPut, Key: []byte("k"), Value: make([]byte, MaxValueBytes+1)},
		"delete":      {Op: OpDelete},
	} {
		if got := apply(t, m, c)[0]; got != (Result{Status: StatusInvalid}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if m.Hash() != h {
		t.Error("a refused command changed the state")
	}
	ok := []Command{{Op: OpPut, Key: make([]byte, MaxKeyBytes), Value: make([]byte, MaxValueBytes)}}
	if got := apply(t, m, ok...)[0]; got.Status != StatusOK {
		t.Errorf("at the limits: %+v", got)
	}
}

// TestUndecodableCommandQuarantines: what this version cannot read is an error of the machine, which quarantines
// the group, and never a command that is skipped (F17).
func TestUndecodableCommandQuarantines(t *testing.T) {
	good := put("a", "1")
	newer := AppendCommand(nil, &good)
	newer[1] = commandVersion + 1
	unknown := AppendCommand(nil, &good)
	unknown[2] = 99
	for name, data := range map[string][]byte{
		"empty": {}, "garbage": {0xc1, 1, 2}, "newer version": newer, "unknown operation": unknown,
		"trailing": append(AppendCommand(nil, &good), 0), "short": AppendCommand(nil, &good)[:7],
	} {
		var de *wire.DecodeError
		if _, err := New().Apply([]multiraft.Command{{Index: 7, Data: data}}); !errors.As(err, &de) || !strings.Contains(err.Error(), "index 7") {
			t.Errorf("%s: Apply returned %v", name, err)
		}
	}
}

// TestAppliedValuesDoNotAliasCommands: an entry's bytes are part of a frame; a value must not keep it alive, nor
// change with it.
func TestAppliedValuesDoNotAliasCommands(t *testing.T) {
	m := New()
	c := put("key", "value")
	data := AppendCommand(nil, &c)
	if _, err := m.Apply([]multiraft.Command{{Index: 1, Data: data}}); err != nil {
		t.Fatal(err)
	}
	clear(data)
	if it, ok := get(t, m, "key"); !ok || string(it.Value) != "value" {
		t.Fatalf("got %+v %v", it, ok)
	}
}

func TestScanPages(t *testing.T) {
	m := New()
	big := strings.Repeat("x", MaxPageBytes/4)
	for i := range 10 {
		apply(t, m, put(fmt.Sprintf("big/%d", i), big))
	}
	apply(t, m, put("bih", ""), put("max", strings.Repeat("y", MaxValueBytes)), put("max2", "z"))
	items, pages := scanAll(t, m, "big/", 0)
	if len(items) != 10 || pages != 4 {
		t.Errorf("10 quarter pages: %d items in %d pages, want 3 a page", len(items), pages)
	}
	raw, err := m.Query(AppendScan(nil, Scan{Prefix: []byte("max")}))
	if err != nil {
		t.Fatal(err)
	}
	if page, err := DecodePage(raw); err != nil || len(page.Items) != 1 || !page.More {
		t.Errorf("an item larger than a page must stand alone: %d items, %v", len(page.Items), err)
	}
	if items, _ := scanAll(t, m, "", 1); len(items) != 13 {
		t.Errorf("one by one: %d items", len(items))
	}
	for i := range 3 * MaxPageItems {
		apply(t, m, put(fmt.Sprintf("n/%05d", i), "v"))
	}
	if items, pages := scanAll(t, m, "n/", 1<<30); len(items) != 3*MaxPageItems || pages != 3 {
		t.Errorf("%d items in %d pages", len(items), pages)
	}
	if items, _ := scanAll(t, m, "nothing", 0); len(items) != 0 {
		t.Errorf("no such prefix: %d items", len(items))
	}
}

func TestBadQueriesAreTheCallersError(t *testing.T) {
	m := New()
	long := AppendGet(nil, []byte("k"))
	for name, q := range map[string][]byte{
		"empty": {}, "unknown": {0x92, 1, 9}, "version": {0x93, 2, 1, 0xc0}, "trailing": append(slices.Clone(long), 1),
		"short": long[:3], "bomb": {0xdd, 0xff, 0xff, 0xff, 0xff}, // D75
	} {
		if _, err := m.Query(q); wire.CodeOf(err) != wire.CodeBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCommandsRoundTrip(t *testing.T) {
	for _, c := range []Command{
		put("k", "v"),
		{Op: OpPut, Session: 7, Sequence: 1 << 40, Acked: 300, Require: AtRevision(0), Key: []byte("k"), Value: []byte{}},
		{Op: OpDelete, Key: bytes.Repeat([]byte("k"), 400), Require: AtRevision(9)},
		{Op: OpOpen},
		{Op: OpClose, Session: 1 << 60},
	} {
		got, err := DecodeCommand(AppendCommand(nil, &c))
		if diff := cmp.Diff(c, got); err != nil || diff != "" {
			t.Errorf("%+v: %v\n%s", c, err, diff)
		}
	}
}

func BenchmarkApplyPut(b *testing.B) {
	m := New()
	c := Command{Op: OpPut, Session: apply(b, m, Command{Op: OpOpen})[0].Session, Value: make([]byte, 128)}
	batch := make([]multiraft.Command, 512)
	seq := Sequence(1)
	for i := range batch {
		c.Key = fmt.Appendf(nil, "key-%06d", i)
		batch[i].Data = AppendCommand(nil, &c)
	}
	b.ReportAllocs()
	for b.Loop() {
		for i := range batch {
			c.Key, c.Sequence, c.Acked = c.Key[:0], seq, seq
			c.Key = fmt.Appendf(c.Key, "key-%06d", i)
			batch[i].Data = AppendCommand(batch[i].Data[:0], &c)
			seq++
		}
		if _, err := m.Apply(batch); err != nil {
			b.Fatal(err)
		}
	}
}
