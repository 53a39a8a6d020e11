package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"flotilla/raft/logstore/boltfile"
)

// preparedTx is the last transaction of a file that holds the two empty buckets and nothing else: bbolt counts
// from 1, and the first blob is written by the next one.
const preparedTx = 2

// sealed is a generation that nobody writes any more. Its methods are safe for concurrent use.
type sealed struct {
	*boltfile.File
	// blobs are the places of the blobs from base on; an empty one is not there. Reads go by these and not by the
	// tree, whose arrows may have rotted. Set before the file is shared.
	base  uint64
	blobs []boltfile.Place
}

// openSealed opens path for reading. Damage comes as a *CorruptionError.
func openSealed(fs fileSystem, path string) (*sealed, error) {
	f, err := fs.open(path, os.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("open log file: %w", err)
	}
	file, err := boltfile.Open(f, path)
	if err != nil {
		return nil, errors.Join(corruption(err), f.Close())
	}
	return &sealed{File: file}, nil
}

// corruption makes a *CorruptionError of damage to a file; other errors stay what they are.
func corruption(err error) error {
	var d *boltfile.Damage
	if errors.As(err, &d) {
		return &CorruptionError{File: d.Path, Key: d.Key, Detail: d.Detail}
	}
	return err
}

func (s *sealed) damage(key, detail string) *CorruptionError {
	return &CorruptionError{File: s.Path(), Key: key, Detail: detail}
}

// expect makes room for the blobs from base on, written by the transactions from tx on.
func (s *sealed) expect(base, tx uint64) {
	s.base = base
	n := s.LastTx() + 1 - tx
	if tx <= s.LastTx() && n <= uint64(s.Bytes())/blobHeaderBytes { // no blob is smaller
		s.blobs = make([]boltfile.Place, n)
	}
}

// note remembers where the blob under key is.
func (s *sealed) note(key []byte, at boltfile.Place) {
	if len(key) != 8 {
		return
	}
	seq := binary.BigEndian.Uint64(key)
	if i := seq - s.base; seq >= s.base && i < uint64(len(s.blobs)) {
		s.blobs[i] = at
	}
}

// locate finds the blobs from base on without reading them.
func (s *sealed) locate(base, tx uint64) error {
	s.expect(base, tx)
	root, ok, err := s.Bucket(bucketJournal)
	if err != nil || !ok {
		return corruption(err)
	}
	w := boltfile.Walker{Own: blobKey, Note: s.note, Bad: func(d *boltfile.Damage) error { return d }}
	return corruption(w.Walk(root))
}

// record returns the verified payload of the record at (seq, off).
func (s *sealed) record(g *generation, seq uint64, off uint32) ([]byte, error) {
	var at boltfile.Place
	if i := seq - s.base; seq >= s.base && i < uint64(len(s.blobs)) {
		at = s.blobs[i]
	}
	if at.N == 0 {
		return nil, lostBlob(g, seq)
	}
	return verifiedRecord(g, seq, off, at.N, func(o, n int64) ([]byte, error) {
		b, err := s.Read(at.Off+o, n)
		return b, corruption(err)
	})
}
