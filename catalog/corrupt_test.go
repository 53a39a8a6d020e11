package catalog

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"flotilla/raft/wire"
)

// fileOf returns the bytes of a catalog with some history, and what it holds.
func fileOf(t *testing.T) ([]byte, *Snapshot) {
	t.Helper()
	c, path := born(t)
	_, err := c.NextIncarnation()
	must(t, err)
	apply(t, c, 1, EpochBump{1}, RegisterNode{ID: 2, Generation: 5, Addr: "a:1"})
	must(t, c.Close())
	b, err := os.ReadFile(path)
	must(t, err)
	return b, c.View()
}

// corrupt reports whether err is a *CorruptionError that names its file.
func corrupt(err error) bool {
	var bad *CorruptionError
	return errors.As(err, &bad) && bad.File != ""
}

// P30, D12, reliability "bit rot": any flipped bit is found, or lies where nothing is. It never kills the process,
// and never yields another state, an earlier one included.
func TestFlippedBits(t *testing.T) {
	file, want := fileOf(t)
	rng := rand.New(rand.NewPCG(1, 2))
	found, tries := 0, 0
	path := filepath.Join(t.TempDir(), "catalog.db") // one for all: what is refused must let go of the file
	must(t, os.WriteFile(path, file, 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	try := func(off int, bit byte) {
		tries++
		_, err := f.WriteAt([]byte{file[off] ^ bit}, int64(off))
		must(t, err)
		got, err := openedAt(t, path)
		_, undo := f.WriteAt(file[off:off+1], int64(off))
		must(t, undo)
		switch {
		case corrupt(err):
			found++
		case err != nil:
			t.Errorf("byte %d bit %02x: %v", off, bit, err)
		case !reflect.DeepEqual(got, want):
			t.Errorf("byte %d bit %02x: %s", off, bit, cmp.Diff(want, got))
		}
	}
	for off := 0; off < metaPageCount*4096; off += 4096 { // each byte of both metas
		for i := range metaOffset + metaSize {
			try(off+i, 1<<rng.IntN(8))
		}
	}
	for page := metaPageCount * 4096; page < len(file); page += 4096 { // and of what bbolt trusts without looking
		for i := range 32 {
			try(page+i, 1<<rng.IntN(8))
		}
	}
	for range 150 {
		try(rng.IntN(len(file)), 1<<rng.IntN(8))
	}
	if found < 120 {
		t.Errorf("only %d of %d flips were found: this test looks at the wrong bytes", found, tries)
	}
	if _, err := openedAt(t, path); err != nil {
		t.Errorf("the good file after all the bad ones: %v", err)
	}
	t.Logf("%d flips, %d found, the others harmless", tries, found)
}

// D26: a file cut anywhere is refused, not mapped; the empty one too, for it once had an identity (F46).
func TestTruncated(t *testing.T) {
	file, want := fileOf(t)
	for n := 0; n < len(file); n += 512 {
		got, err := opened(t, file[:n])
		if err == nil && cmp.Equal(got, want) {
			continue // what was cut off was not in use
		}
		if !corrupt(err) {
			t.Errorf("%d of %d bytes: %v", n, len(file), err)
		}
		if n < 4*4096 && err == nil {
			t.Errorf("%d of %d bytes: opened", n, len(file))
		}
	}
}

func TestGarbage(t *testing.T) {
	noise := make([]byte, 64<<10)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for name, image := range map[string][]byte{
		"noise": noise, "zeros": make([]byte, 64<<10), "text": []byte(strings.Repeat("hello\n", 9000)), "one byte": {1},
	} {
		if _, err := opened(t, image); !corrupt(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir()
	if _, err := Open(dir, Options{}); err == nil {
		t.Error("a directory was opened")
	}
}

// edit changes the bucket of the catalog in file and returns the new file.
func edit(t *testing.T, file []byte, change func(*bbolt.Bucket)) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "catalog.db")
	must(t, os.WriteFile(path, file, 0o600))
	db, err := bbolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		change(tx.Bucket(bucketName))
		return nil
	}))
	must(t, db.Close())
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// Records that are each good, and yet not those that were written together, are found by the seal.
func TestRecordsOfDifferentTimes(t *testing.T) {
	file, s := fileOf(t)
	older := *s
	older.Applied, older.Epoch, older.EpochTerm = 0, 0, 0
	for name, change := range map[string]func(*bbolt.Bucket){
		"older progress": func(b *bbolt.Bucket) {
			must(t, b.Put([]byte(keyProgress), frame(keyProgress, appendProgress(nil, &older))))
		},
		"lost identity":    func(b *bbolt.Bucket) { must(t, b.Delete([]byte(keyIdentity))) },
		"lost seal":        func(b *bbolt.Bucket) { must(t, b.Delete([]byte(keySeal))) },
		"record of others": func(b *bbolt.Bucket) { must(t, b.Put([]byte("extra"), frame("extra", nil))) },
		"swapped":          func(b *bbolt.Bucket) { must(t, b.Put([]byte(keyNode), b.Get([]byte(keySettings)))) },
		"short record":     func(b *bbolt.Bucket) { must(t, b.Put([]byte(keyNode), []byte{1, 2, 3})) },
	} {
		if _, err := opened(t, edit(t, file, change)); !corrupt(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// All of it gone must not look like a new node (F46).
	if _, err := opened(t, edit(t, file, func(b *bbolt.Bucket) {
		must(t, b.ForEach(func(k, _ []byte) error { return b.Delete(bytes.Clone(k)) }))
	})); !corrupt(err) {
		t.Errorf("emptied: %v", err)
	}
}

// What is found is named: the record, and both checksums (architecture section 4).
func TestRotIsNamed(t *testing.T) {
	file, _ := fileOf(t)
	for name, value := range map[string][]byte{
		"flipped body":           append(frame(keyNode, []byte{0x91, 1})[:5], 2),
		"body of another record": frame(keySettings, []byte{0x92, 2, 3}),
	} {
		_, err := opened(t, edit(t, file, func(b *bbolt.Bucket) { must(t, b.Put([]byte(keyNode), value)) }))
		var bad *CorruptionError
		if !errors.As(err, &bad) || bad.Key != keyNode || bad.Want == bad.Got || bad.File == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Records with good checksums that make no sense are refused: the inside trusts what was opened.
func TestStateValidatedAtOpen(t *testing.T) {
	_, s := fileOf(t)
	for name, damage := range map[string]func(*Snapshot){
		"routing to nowhere": func(s *Snapshot) { s.Routing.Shards[3] = 77 },
		"node 0":             func(s *Snapshot) { s.Identity.NodeID = 0 },
		"no generation":      func(s *Snapshot) { s.Identity.Generation = 0 },
		"topology version 0": func(s *Snapshot) { s.Topology.Version = 0 },
	} {
		bad := *s
		damage(&bad)
		var want *CorruptionError
		if _, err := parseState(stateRecords(&bad)); !errors.As(err, &want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// P30: a newer format is refused by name, with what to do, whatever its other records are; the file is not touched.
func TestNewerFormatRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	future := append(ledger[:len(ledger):len(ledger)], format{name: "of the future", migrate: func(r records) (records, error) { return r, nil }})
	c, err := Open(path, Options{formats: future})
	must(t, err)
	must(t, c.Close())
	before, err := os.ReadFile(path)
	must(t, err)
	for range 2 {
		_, err = Open(path, Options{})
		var format *FormatError
		if !errors.Is(err, ErrNewerFormat) || !errors.As(err, &format) || format.Found != uint64(len(ledger)+1) || format.Known != uint64(len(ledger)) {
			t.Fatalf("got %v", err)
		}
		if s := err.Error(); !strings.Contains(s, path) || !strings.Contains(s, "start the newer version") {
			t.Errorf("the error is %q", s)
		}
	}
	after, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Error("a file of a newer format was written to")
	}
}

// P30: an older format is migrated step by step in one transaction; killed in it, it is migrated again.
func TestOlderFormatMigrated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	c, err := Open(path, Options{})
	must(t, err)
	must(t, c.Bootstrap(someBirth()))
	want := *c.View()
	must(t, c.Close())

	clone := func(r records) records {
		out := records{}
		maps.Copy(out, r)
		return out
	}
	var steps []string
	newer := append(ledger[:len(ledger):len(ledger)],
		format{name: "counts incarnations twice", migrate: func(r records) (records, error) {
			steps = append(steps, "second")
			r = clone(r)
			r[keyNode] = wire.AppendUint(wire.AppendArray(nil, 1), 40)
			return r, nil
		}},
		format{name: "adds two", migrate: func(r records) (records, error) {
			steps = append(steps, "third")
			rd := wire.NewReader(r[keyNode])
			rd.Array(1)
			r = clone(r)
			r[keyNode] = wire.AppendUint(wire.AppendArray(nil, 1), rd.Uint()+2)
			return r, nil
		}},
	)
	killed := errors.New("killed")
	if _, err := Open(path, Options{formats: newer, beforeCommit: func() error { return killed }}); !errors.Is(err, killed) {
		t.Fatalf("got %v", err)
	}
	steps = nil
	c, err = Open(path, Options{formats: newer})
	must(t, err)
	want.Format, want.Incarnation = 5, 42
	if diff := cmp.Diff(&want, c.View()); diff != "" || strings.Join(steps, " ") != "second third" {
		t.Errorf("steps %v %s", steps, diff)
	}
	must(t, c.Close())
	steps = nil
	c, err = Open(path, Options{formats: newer}) // once is enough
	must(t, err)
	must(t, c.Close())
	if len(steps) != 0 {
		t.Errorf("migrated again: %v", steps)
	}
}

// The ledger grows at its end only. This test is edited when a format is added, never otherwise.
func TestLedger(t *testing.T) {
	if len(ledger) != 3 || formatImports != 3 || ledger[0].migrate != nil {
		t.Fatalf("%d formats", len(ledger))
	}
	// The bytes of format 3: who changes them breaks the files that are out there (D81, D82).
	s := someBirth().snapshotForTest()
	s.Imports = []Import{{ID: 3, Kind: "q", Node: 2, Token: 0xfeed}}
	three := "\x93\x01\x02\x03"
	group := func(id string) string {
		m := "\x95\x00" + three + "\x90\x90\x90"
		return "\x9b" + id + "\xa0" + three + "\x90\x00" + m + m + "\x90\x90\x90\xc2"
	}
	for key, want := range map[string]string{
		keyFormat: "\x03", keyTokens: "\x90", keyImports: "\x91\x94\x03\xa1q\x02\xcd\xfe\xed", keyNode: "\x91\x02", keySettings: "\x92\x02\x03", keyProgress: "\x93\x04\x05\x06",
		keyIdentity: "\x94\xc4\x10\x01\x02\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xa8flotilla\x01\xcd\xfe\xed",
		keyTopology: "\x92\x01\x93\x96\x01\xae127.0.0.1:7401\xa0\x00\x01\xa0\x96\x02\xae127.0.0.1:7402\xa0\x00\x01\xa0\x96\x03\xae127.0.0.1:7403\xa0\x00\x01\xa0",
		keyGroups:   "\x93" + group("\x00") + group("\x01") + group("\x02"),
		keyRouting:  "\x92\x01\xdc\x04\x00" + strings.Repeat("\x01\x02", wire.Shards/2),
	} {
		if got := string(stateRecords(&s)[key]); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	if got := frame("node", []byte("\x91\x02")); binary.BigEndian.Uint32(got) != checksum("node", []byte("\x91\x02")) || len(got) != 6 {
		t.Errorf("frame % x", got)
	}
}

func (b Birth) snapshotForTest() Snapshot {
	s := b.snapshot()
	s.Format, s.Incarnation, s.Epoch, s.EpochTerm, s.Applied = 3, 2, 4, 5, 6
	return s
}

func TestInspect(t *testing.T) {
	c, path := born(t)
	if _, err := Inspect(path, 10*time.Millisecond); !errors.Is(err, ErrInUse) {
		t.Errorf("while it is in use: %v", err)
	}
	must(t, c.Close())
	before, err := os.ReadFile(path)
	must(t, err)
	s, err := Inspect(path, time.Second)
	if err != nil || !cmp.Equal(s, c.View()) {
		t.Errorf("%v %s", err, cmp.Diff(c.View(), s))
	}
	after, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Error("inspecting wrote to the file")
	}
	missing := filepath.Join(t.TempDir(), "catalog.db")
	if _, err := Inspect(missing, time.Second); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("inspecting made a file")
	}
}

// P30, D81: a file that a version of format 1 wrote (commit 4f83b01: a birth, a start, and one of each kind of command).
func TestFormat1File(t *testing.T) {
	text, err := os.Open("testdata/format1.db.gz.base64")
	must(t, err)
	defer text.Close()
	unpacked, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, text))
	must(t, err)
	file, err := io.ReadAll(unpacked)
	must(t, err)
	path := filepath.Join(t.TempDir(), "catalog.db")
	must(t, os.WriteFile(path, file, 0o600))

	b := someBirth()
	want := b.snapshot()
	want.Format, want.Incarnation, want.Epoch, want.EpochTerm, want.Applied = 3, 1, 1, 7, 9
	want.Topology = Topology{Version: 8, Nodes: []Node{
		{ID: 1, Addr: "a:1", HTTP: "a:2", Generation: 0xfeed, State: NodeActive, Version: "v1.2.3"},
		{ID: 2, Addr: "127.0.0.1:7402", State: NodeRemoved}, // D47: the tombstone is one after the migration, too
		{ID: 3, Addr: "c:1", Generation: 0xbeef, State: NodeDraining},
		{ID: 4, Addr: "n:4", State: NodeListed},
	}}
	want.Groups[2] = Group{ID: 2, Voters: nodes(1, 3)}.Founded()
	want.Groups = append(want.Groups, Group{ID: 5, Voters: nodes(1, 3), Learners: nodes(4)}.Founded())
	want.Routing.Version = 2
	for shard := range 9 {
		want.Routing.Shards[shard] = 5
	}
	for _, look := range []func() (*Snapshot, error){
		func() (*Snapshot, error) { return Inspect(path, time.Second) },
		func() (*Snapshot, error) { return openedAt(t, path) }, // migrates
		func() (*Snapshot, error) { return openedAt(t, path) },
	} {
		got, err := look()
		must(t, err)
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Error(diff)
		}
	}
	c := open(t, path, Options{})
	wantResults(t, apply(t, c, 8, RegisterNode{ID: 2, Generation: 9, Addr: "b:1"}, PutGroup{Group: Group{ID: 6, Voters: nodes(1)}}, DeleteGroup{ID: 6}),
		Result{RefusedRemoved, 2}, Result{Done, 9}, Result{Done, 10})
}

// P30, D81: records with the bytes of format 1 become what they meant.
func TestFormat1Migrated(t *testing.T) {
	s := someBirth().snapshotForTest()
	old := stateRecords(&s)
	delete(old, keyTokens)
	delete(old, keyImports)
	old[keyFormat] = []byte("\x01")
	old[keyGroups] = []byte("\x93\x93\x00\x93\x01\x02\x03\x90\x93\x01\x93\x01\x02\x03\x90\x93\x02\x93\x01\x02\x03\x90")
	now, err := migrate(old, ledger)
	must(t, err)
	got, err := parseState(now)
	must(t, err)
	if diff := cmp.Diff(&s, got); diff != "" {
		t.Errorf("migrated: %s", diff)
	}
	if _, err := migrate(records{keyFormat: []byte("\x01")}, ledger); err != nil {
		t.Errorf("an empty catalog of format 1: %v", err)
	}
	old[keyGroups] = []byte("\x93\x93\x00")
	var corrupt *CorruptionError
	if _, err := migrate(old, ledger); !errors.As(err, &corrupt) || corrupt.Key != keyGroups {
		t.Errorf("half a record: %v", err)
	}
}
