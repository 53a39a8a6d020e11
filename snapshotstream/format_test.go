package snapshotstream

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"

	"flotilla/raft/wire"
)

var joint = wire.Membership{
	Index: 9, Voters: []wire.NodeID{1, 2, 3}, Learners: []wire.NodeID{7}, Outgoing: []wire.NodeID{2, 3, 4, 5}, Demoted: []wire.NodeID{5},
}

func stateAt(group wire.GroupID, index wire.Index) State {
	return State{Group: group, Index: index, Term: 3, Membership: joint, Epoch: 8}
}

// bytesOf are n bytes of chance that seed decides.
func bytesOf(seed uint64, n int) []byte {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// encoded is the file of body.
func encoded(t testing.TB, s State, chunk uint32, body []byte) ([]byte, Header) {
	t.Helper()
	h, err := HeaderOf(s, bytes.NewReader(body), chunk)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	e, err := NewEncoder(&file, h)
	if err != nil {
		t.Fatal(err)
	}
	for rest := body; len(rest) > 0; {
		n := min(len(rest), 700)
		if _, err := e.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if int64(file.Len()) != h.FileSize() {
		t.Fatalf("%d bytes, FileSize says %d", file.Len(), h.FileSize())
	}
	return file.Bytes(), h
}

// decode reads file to its end.
func decode(r io.Reader) (Header, []byte, error) {
	d, err := NewDecoder(r)
	if err != nil {
		return Header{}, nil, err
	}
	body, err := io.ReadAll(d)
	return d.Header(), body, err
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, MinChunk - 1, MinChunk, MinChunk + 1, 3 * MinChunk, 3*MinChunk + 17} {
		body := bytesOf(uint64(n), n)
		file, h := encoded(t, stateAt(4, 20), MinChunk, body)
		for name, r := range map[string]io.Reader{
			"at once": bytes.NewReader(file), "byte by byte": iotest.OneByteReader(bytes.NewReader(file)),
			"end with data": iotest.DataErrReader(bytes.NewReader(file)),
		} {
			got, read, err := decode(r)
			if err != nil || !bytes.Equal(read, body) || !got.equal(&h) {
				t.Errorf("%d bytes, %s: %d bytes, header %+v: %v", n, name, len(read), got, err)
			}
		}
	}
}

// The bytes of version 1 never change: whoever makes this test red has to make version 2.
func TestFormatIsFixed(t *testing.T) {
	file, h := encoded(t, stateAt(4, 20), MinChunk, bytesOf(1, 2*MinChunk+5))
	sum := sha256.Sum256(file)
	if got, want := h.ID.String(), "802adb3a332123719de40c4303ea0aad"; got != want {
		t.Errorf("id %s, want %s", got, want)
	}
	if got, want := hex.EncodeToString(sum[:8]), "53d27e02cb858f14"; got != want {
		t.Errorf("sum %s, want %s", got, want)
	}
}

// A flip of any bit of a file is found, wherever it is (N5).
func TestEveryBitCounts(t *testing.T) {
	file, _ := encoded(t, stateAt(4, 20), MinChunk, bytesOf(2, MinChunk+40))
	for bit := range 8 * len(file) {
		bad := bytes.Clone(file)
		bad[bit/8] ^= 1 << (bit % 8)
		mustBeFound(t, bit, bad)
	}
}

// 1,000 flips of chance in a larger file are found, each of them.
func TestThousandFlips(t *testing.T) {
	file, _ := encoded(t, stateAt(4, 20), 4*MinChunk, bytesOf(3, 150_000))
	rng := rand.New(rand.NewPCG(1, 5))
	for range 1000 {
		bit := rng.IntN(8 * len(file))
		file[bit/8] ^= 1 << (bit % 8)
		mustBeFound(t, bit, file)
		file[bit/8] ^= 1 << (bit % 8)
	}
	if _, err := Verify(bytes.NewReader(file)); err != nil {
		t.Errorf("the file without a flip: %v", err)
	}
}

func mustBeFound(t *testing.T, bit int, file []byte) {
	t.Helper()
	_, err := Verify(bytes.NewReader(file))
	if !errors.Is(err, ErrCorrupt) {
		t.Fatalf("bit %d of byte %d flipped: %v", bit%8, bit/8, err)
	}
}

// A chunk's own checksum is what finds it out, before any of it is handed out: a machine must not be fed rot until
// the end (the mutant forget-chunk-crc).
func TestChunksAreCheckedOneByOne(t *testing.T) {
	body := bytesOf(4, 3*MinChunk)
	file, h := encoded(t, stateAt(4, 20), MinChunk, body)
	file[h.at(MinChunk)+chunkLead+100] ^= 1
	_, read, err := decode(bytes.NewReader(file))
	var bad *CorruptError
	if !errors.As(err, &bad) || bad.What != "chunk" || bad.Offset != MinChunk {
		t.Errorf("a rotten second chunk: %v", err)
	}
	if !bytes.Equal(read, body[:MinChunk]) {
		t.Errorf("%d bytes handed out, want the first chunk", len(read))
	}
}

func TestEveryTruncationIsFound(t *testing.T) {
	file, _ := encoded(t, stateAt(4, 20), MinChunk, bytesOf(5, MinChunk+10))
	for n := range len(file) {
		if _, err := Verify(bytes.NewReader(file[:n])); !errors.Is(err, ErrCorrupt) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(file), err)
		}
	}
	if _, err := Verify(bytes.NewReader(append(file, 0))); !errors.Is(err, errTrailing) {
		t.Errorf("a byte behind the end: %v", err)
	}
}

// A reader that fails is no corruption: the disk or the connection is at fault, and the snapshot may be sound.
func TestReadersOwnErrors(t *testing.T) {
	file, h := encoded(t, stateAt(4, 20), MinChunk, bytesOf(6, 2*MinChunk))
	broken := errors.New("broken")
	for _, n := range []int64{0, 5, 30, h.at(0) + 3, h.at(0) + 30, h.at(MinChunk), h.at(2 * MinChunk), h.FileSize()} {
		_, err := Verify(io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) {
			t.Errorf("broken after %d bytes: %v", n, err)
		}
	}
}

// reseal makes a changed header's checksum right again: what a hostile maker does.
func reseal(b []byte, n int) []byte {
	binary.BigEndian.PutUint32(b[n-4:], crc32.Checksum(b[:n-4], castagnoli))
	return b
}

func TestHostileHeaders(t *testing.T) {
	file, h := encoded(t, stateAt(4, 20), MinChunk, bytesOf(7, MinChunk))
	n := h.size()
	put64 := func(at int, v uint64) func([]byte) { return func(b []byte) { binary.BigEndian.PutUint64(b[at:], v) } }
	put32 := func(at int, v uint32) func([]byte) { return func(b []byte) { binary.BigEndian.PutUint32(b[at:], v) } }
	for name, change := range map[string]func([]byte){
		"group": put64(28, 1<<63), "no index": put64(36, 0), "index": put64(36, 1<<63), "no term": put64(44, 0), "term": put64(44, 1<<63),
		"body": put64(60, MaxBody+1), "chunk of nothing": put32(68, 0), "small chunk": put32(68, MinChunk-1), "large chunk": put32(68, MaxChunk+1),
		"membership of later": put64(36, uint64(joint.Index)-1), "membership": put32(headerFixed, 0xffffffff),
		"length": put32(8, maxHeader+1), "short length": put32(8, headerFixed), "magic": put32(0, 1),
	} {
		bad := bytes.Clone(file)
		change(bad)
		if _, err := NewDecoder(bytes.NewReader(reseal(bad, n))); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	claimed := bytes.Clone(file)
	claimed[12] ^= 1 // an id that is not that of the content
	if _, err := Verify(bytes.NewReader(reseal(claimed, n))); !errors.Is(err, errID) {
		t.Errorf("another id: %v", err)
	}
	unknown := bytes.Clone(file)
	put32(4, 2)(unknown)
	var version *VersionError
	if _, err := Verify(bytes.NewReader(reseal(unknown, n))); !errors.As(err, &version) || version.Version != 2 || errors.Is(err, ErrCorrupt) {
		t.Errorf("version 2: %v", err)
	}
	wide := Header{State: h.State, BodyLength: h.BodyLength, ChunkSize: h.ChunkSize, ID: h.ID}
	b := appendHeader(nil, &wide)
	at := headerFixed + 1 // the membership's index, 9: as a byte of its own it means the same
	b = slices.Concat(b[:at], []byte{0xcc}, b[at:])
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)))
	if _, err := parseHeader(reseal(b, len(b))); !errors.Is(err, errCanonical) {
		t.Errorf("a header in another spelling: %v", err)
	}
}

// A header that declares a state of 1 TiB costs its receiver a chunk and not more.
func TestDeclaredLengthsAreNotBelieved(t *testing.T) {
	h := Header{State: stateAt(4, 20), BodyLength: MaxBody, ChunkSize: MaxChunk}
	b := appendHeader(nil, &h)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Verify(bytes.NewReader(b)); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > MaxChunk+1<<20 {
		t.Errorf("%d bytes allocated for a header alone", n)
	}
}

// A snapshot has its membership whole, joint or not: voters, learners, outgoing and demoted (D53, D59).
func TestMembershipsSurvive(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 9))
	pick := func(from []wire.NodeID) []wire.NodeID {
		return slices.DeleteFunc(slices.Clone(from), func(wire.NodeID) bool { return rng.IntN(2) == 0 })
	}
	for round := range 500 {
		var ids []wire.NodeID
		for id := range 1 + rng.IntN(40) {
			ids = append(ids, wire.NodeID(1+id))
		}
		ids = append(ids, wire.MaxNodeID)
		voters := append(pick(ids[:len(ids)/2]), wire.MaxNodeID)
		m := wire.Membership{Index: wire.Index(rng.IntN(20)), Voters: voters, Learners: pick(ids[len(ids)/2 : len(ids)-1])}
		if rng.IntN(2) == 0 {
			m.Outgoing = append(pick(ids[:len(ids)/2]), wire.MaxNodeID)
			m.Demoted = slices.DeleteFunc(pick(m.Outgoing), func(n wire.NodeID) bool { return slices.Contains(voters, n) })
		}
		if len(m.Voters) == 0 || !m.WellFormed() {
			t.Fatalf("round %d made %+v", round, m)
		}
		s := State{Group: 1, Index: 20, Term: 2, Membership: m}
		file, _ := encoded(t, s, MinChunk, []byte("state"))
		got, _, err := decode(bytes.NewReader(file))
		if err != nil || !got.Membership.Equal(&m) || got.Snapshot().Index != 20 {
			t.Fatalf("round %d: %+v became %+v: %v", round, m, got.Membership, err)
		}
	}
}

// The largest membership there can be fits into a header.
func TestLargestMembership(t *testing.T) {
	m := wire.Membership{Voters: []wire.NodeID{1}}
	for id := wire.MaxNodeID - wire.MaxMembers + 2; id <= wire.MaxNodeID; id++ {
		m.Outgoing, m.Demoted = append(m.Outgoing, id), append(m.Demoted, id)
	}
	both := wire.Membership{}
	for id := wire.MaxNodeID - wire.MaxMembers + 1; id <= wire.MaxNodeID; id++ {
		both.Voters, both.Outgoing = append(both.Voters, id), append(both.Outgoing, id)
	}
	for _, m := range []wire.Membership{m, both} {
		file, h := encoded(t, State{Group: 1, Index: wire.MaxNumber, Term: wire.MaxNumber, Membership: m}, MinChunk, nil)
		if _, err := Verify(bytes.NewReader(file)); err != nil || h.size() > maxHeader {
			t.Errorf("%d bytes of header, at most %d: %v", h.size(), maxHeader, err)
		}
	}
}

// The id is that of the content: what differs has another one, and the maker's epoch is no content.
func TestIDs(t *testing.T) {
	_, h := encoded(t, stateAt(4, 20), MinChunk, []byte("state"))
	same := stateAt(4, 20)
	same.Epoch = 99
	if _, other := encoded(t, same, MinChunk, []byte("state")); other.ID != h.ID {
		t.Error("another epoch gives another id")
	}
	seen := map[ID]string{h.ID: "itself"}
	differs := func(name string, s State, chunk uint32, body string) {
		_, other := encoded(t, s, chunk, []byte(body))
		if twin, taken := seen[other.ID]; taken {
			t.Errorf("%s has the id of %s", name, twin)
		}
		seen[other.ID] = name
	}
	term, members := stateAt(4, 20), stateAt(4, 20)
	term.Term, members.Membership.Demoted = 4, nil
	differs("group", stateAt(5, 20), MinChunk, "state")
	differs("index", stateAt(4, 21), MinChunk, "state")
	differs("term", term, MinChunk, "state")
	differs("membership", members, MinChunk, "state")
	differs("chunk size", stateAt(4, 20), 2*MinChunk, "state")
	differs("body", stateAt(4, 20), MinChunk, "State")
	differs("length", stateAt(4, 20), MinChunk, "state ")
}

// An encoder never completes a snapshot of another body than the one it was told of.
func TestEncoderMismatch(t *testing.T) {
	_, h := encoded(t, stateAt(4, 20), MinChunk, bytesOf(8, MinChunk+5))
	for name, body := range map[string][]byte{
		"longer": bytesOf(8, MinChunk+6), "shorter": bytesOf(8, MinChunk+4), "none": nil, "another": bytesOf(9, MinChunk+5),
	} {
		var file bytes.Buffer
		e, err := NewEncoder(&file, h)
		if err != nil {
			t.Fatal(err)
		}
		_, werr := e.Write(body)
		cerr := e.Close()
		if !errors.Is(cerr, ErrMismatch) || name == "longer" && !errors.Is(werr, ErrMismatch) || e.Close() != cerr {
			t.Errorf("%s: write %v, close %v, again %v", name, werr, cerr, e.Close())
		}
		if _, err := Verify(&file); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: verifies with %v", name, err)
		}
	}
	if _, err := NewEncoder(io.Discard, Header{}); !errors.Is(err, ErrHeader) {
		t.Errorf("no header: %v", err)
	}
}

// full is a writer with room for n bytes.
type full struct{ n int }

var errFull = errors.New("full")

func (f *full) Write(p []byte) (int, error) {
	if len(p) > f.n {
		return f.n, errFull
	}
	f.n -= len(p)
	return len(p), nil
}

func TestEncoderWriterFails(t *testing.T) {
	body := bytesOf(10, 2*MinChunk+5)
	file, h := encoded(t, stateAt(4, 20), MinChunk, body)
	for n := range len(file) {
		e, err := NewEncoder(&full{n}, h)
		if err == nil {
			_, _ = e.Write(body)
			err = e.Close()
		}
		if !errors.Is(err, errFull) {
			t.Fatalf("room for %d of %d bytes: %v", n, len(file), err)
		}
	}
}

// FuzzDecoder: no bytes make the decoder panic or hand out a body under a header that does not go with it; what it
// takes, an encoder makes again, bit for bit.
func FuzzDecoder(f *testing.F) {
	for _, n := range []int{0, 5, MinChunk, MinChunk + 1} {
		file, h := encoded(f, stateAt(4, 20), MinChunk, bytesOf(11, n))
		f.Add(file)
		f.Add(file[:h.size()])
	}
	f.Add([]byte("FLTS"))
	f.Fuzz(func(t *testing.T, file []byte) {
		h, body, err := decode(bytes.NewReader(file))
		if err != nil {
			var version *VersionError
			if !errors.Is(err, ErrCorrupt) && !errors.As(err, &version) {
				t.Fatalf("untyped: %v", err)
			}
			return
		}
		again, _ := encoded(t, h.State, h.ChunkSize, body)
		if !bytes.Equal(again, file) {
			t.Fatal("two files for one snapshot")
		}
	})
}

// FuzzHeader: the same for headers whose checksum is right.
func FuzzHeader(f *testing.F) {
	_, h := encoded(f, stateAt(4, 20), MinChunk, []byte("state"))
	b := appendHeader(nil, &h)
	f.Add(b[:len(b)-4])
	f.Add(b[:headerFixed])
	f.Fuzz(func(t *testing.T, b []byte) {
		b = reseal(append(bytes.Clone(b), 0, 0, 0, 0), len(b)+4)
		h, err := parseHeader(b)
		if err == nil && (!bytes.Equal(appendHeader(nil, &h), b) || h.Validate() != nil) {
			t.Fatalf("header %+v does not survive", h)
		}
	})
}
