package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"flotilla/internal/mutant"
	"flotilla/raft/logstore/boltfile"
)

// generation is one file of the log. Who uses source holds a handle on it.
type generation struct {
	num  uint32
	path string
	// bytes is what the file uses; set when it stops being the active one.
	bytes int64
	// base is the sequence of its first blob, tx the transaction that wrote it.
	base, tx uint64
	// data is the sum of its blobs' lengths: what of it is not alive is garbage.
	data   int64
	source *source
}

// source is an open file to read records from: through bbolt while it is written, with preads (see boltfile) after. It
// is closed when it has been retired and the last reader has let go.
type source struct {
	db     *bolt.DB
	file   *sealed
	closed chan struct{}

	mu      sync.Mutex
	readers int
	retired bool
	err     error
}

func newSource(db *bolt.DB, file *sealed) *source {
	return &source{db: db, file: file, closed: make(chan struct{})}
}

// acquire keeps the source open until release. Callers hold the store's lock, under which sources are
// retired, so a retired one is never acquired.
func (s *source) acquire() {
	s.mu.Lock()
	s.readers++
	s.mu.Unlock()
}

func (s *source) release() {
	s.mu.Lock()
	s.readers--
	last := s.readers == 0 && s.retired
	s.mu.Unlock()
	if last {
		s.close()
	}
}

// retire closes the source, now or when the last reader lets go.
func (s *source) retire() {
	s.mu.Lock()
	last := s.readers == 0 && !s.retired
	s.retired = true
	s.mu.Unlock()
	if last {
		s.close()
	}
}

func (s *source) close() {
	if s.db != nil {
		s.err = s.db.Close()
	} else {
		s.err = s.file.Close()
	}
	close(s.closed)
}

// record returns the verified payload of the record at (seq, off), in memory of its own.
func (s *source) record(g *generation, seq uint64, off uint32) ([]byte, error) {
	if s.db != nil {
		return activeRecord(s.db, g, seq, off)
	}
	return s.file.record(g, seq, off)
}

// activeRecord reads through bbolt's map. The file is one that this process has written, so what can go wrong
// is a disk that lies; a fault in the map becomes an error too.
func activeRecord(db *bolt.DB, g *generation, seq uint64, off uint32) (payload []byte, err error) {
	defer onPanic(func(v any) {
		err = &CorruptionError{File: g.path, Key: journalKey(seq), Detail: fmt.Sprintf("bbolt cannot read it: %v", v)}
	})()
	err = db.View(func(tx *bolt.Tx) error {
		blob := getBlob(tx, seq)
		if blob == nil {
			return lostBlob(g, seq)
		}
		p, err := verifiedRecord(g, seq, off, int64(len(blob)), func(o, n int64) ([]byte, error) { return blob[o : o+n], nil })
		payload = append([]byte(nil), p...)
		return err
	})
	return payload, err
}

// onPanic turns memory faults of the calling goroutine into panics and gives what to defer: it hands a
// panic's value to report.
func onPanic(report func(any)) func() {
	was := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(was)
		if v := recover(); v != nil {
			report(v)
		}
	}
}

func lostBlob(g *generation, seq uint64) error {
	return &CorruptionError{File: g.path, Key: journalKey(seq), Detail: "blob is missing"}
}

func journalKey(seq uint64) string { return fmt.Sprintf("j/%d", seq) }

// verifiedRecord gets a record out of a blob of blobLen bytes and verifies it.
func verifiedRecord(g *generation, seq uint64, off uint32, blobLen int64, get func(off, n int64) ([]byte, error)) ([]byte, error) {
	at := int64(off)
	damage := &CorruptionError{File: g.path, Key: fmt.Sprintf("%s at byte %d", journalKey(seq), off), Detail: "record out of bounds"}
	if at+recHeaderBytes > blobLen {
		return nil, damage
	}
	header, err := get(at, recHeaderBytes)
	if err != nil {
		return nil, err
	}
	n, want := int64(binary.BigEndian.Uint32(header)), binary.BigEndian.Uint32(header[4:])
	if at+recHeaderBytes+n > blobLen {
		return nil, damage
	}
	payload, err := get(at+recHeaderBytes, n)
	if err != nil {
		return nil, err
	}
	if got := recordSum(g.num, seq, off, payload); got != want && !mutant.Is(mutant.ForgetReadCRC) {
		damage.Detail, damage.Want, damage.Got = "record", want, got
		return nil, damage
	}
	return payload, nil
}

// boltOptions are those of every file: a map that need not grow (D25), no NoSync ever. The freelist is not
// written: a file is written by one process life only, so nobody will read it (and a flipped bit in it cannot
// make bbolt overwrite what is alive).
func boltOptions(fs fileSystem, rotateBytes int64, lockTimeout time.Duration) *bolt.Options {
	return &bolt.Options{
		Timeout:         lockTimeout,
		FreelistType:    bolt.FreelistMapType,
		NoFreelistSync:  true,
		NoSync:          mutant.Is(mutant.SkipFsync),
		InitialMmapSize: int(max(minMmapBytes, 4*rotateBytes)),
		PageSize:        boltfile.PageSize,
		NoStatistics:    true,
		OpenFile:        func(path string, flag int, _ os.FileMode) (*os.File, error) { return fs.open(path, flag) },
	}
}

// createGeneration makes a file with the two empty buckets, durable under its final name. It holds nothing
// yet: the first blob brings the state along.
func createGeneration(fs fileSystem, dir, path string, opts *bolt.Options) (*bolt.DB, error) {
	tmp := path + tmpSuffix
	if err := absent(fs, tmp); err != nil {
		return nil, err
	}
	db, err := bolt.Open(tmp, 0o600, opts)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", tmp, err)
	}
	if err := publish(fs, db, dir, tmp, path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// publish puts the empty buckets into db, open at tmp, and makes it durable at path.
func publish(fs fileSystem, db *bolt.DB, dir, tmp, path string) error {
	err := db.Update(func(tx *bolt.Tx) error {
		_, errS := tx.CreateBucket(bucketState)
		_, errJ := tx.CreateBucket(bucketJournal)
		return errors.Join(errS, errJ)
	})
	if err != nil {
		return fmt.Errorf("create buckets of %s: %w", tmp, err)
	}
	if err := fs.rename(tmp, path); err != nil {
		return fmt.Errorf("publish %s: %w", path, err)
	}
	if mutant.Is(mutant.SkipDirFsync) {
		return nil
	}
	if err := fs.syncDir(dir); err != nil {
		return fmt.Errorf("sync directory of %s: %w", path, err)
	}
	return nil
}
