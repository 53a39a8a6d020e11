package catalog

import (
	"encoding/binary"
	"hash/crc32"
	"maps"
	"slices"

	"go.etcd.io/bbolt"

	"flotilla/internal/assert"
	"flotilla/raft/wire"
)

var (
	bucketName = []byte("flotilla")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// The records of the newest format; docs/format.md has the bodies.
const (
	keyFormat      = "format"
	keyIdentity    = "identity"
	keyNode        = "node"
	keySettings    = "settings"
	keyTopology    = "topology"
	keyGroups      = "groups"
	keyRouting     = "routing"
	keyProgress    = "progress"
	keyTokens      = "tokens"
	keyImports     = "imports"
	keySeal        = "seal"
	maxRecords     = 64 // a handful today; more is not ours
	checksumLength = 4
)

// records are the bodies of all records but the seal, by key.
type records map[string][]byte

// checksum covers key and body, so that a body under another record's key is found.
func checksum(key string, body []byte) uint32 {
	sum := crc32.Update(0, castagnoli, []byte(key))
	sum = crc32.Update(sum, castagnoli, []byte{0})
	return crc32.Update(sum, castagnoli, body)
}

// frame is what stands on disk: checksum, then body.
func frame(key string, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, checksumLength+len(body)), checksum(key, body))
	return append(b, body...)
}

// seal is the body of the record that names all others with their checksums: a record that was lost, or one
// that is older than the rest, is found by it.
func (r records) seal() []byte {
	b := wire.AppendArray(nil, len(r))
	for _, key := range slices.Sorted(maps.Keys(r)) {
		b = wire.AppendString(wire.AppendArray(b, 2), key)
		b = wire.AppendUint(b, uint64(checksum(key, r[key])))
	}
	return b
}

// store writes what differs from old, and the seal, within tx.
func (r records) store(tx *bbolt.Tx, old records) error {
	assert.That(len(r) > 0 && len(r) <= maxRecords && r[keyFormat] != nil, "catalog: storing %d records", len(r))
	b, err := tx.CreateBucketIfNotExists(bucketName)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		if _, kept := r[key]; !kept {
			if err := b.Delete([]byte(key)); err != nil {
				return err
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r)) {
		if was, held := old[key]; held && slices.Equal(was, r[key]) {
			continue
		}
		if err := b.Put([]byte(key), frame(key, r[key])); err != nil {
			return err
		}
	}
	return b.Put([]byte(keySeal), frame(keySeal, r.seal()))
}

// loadRecords reads every record of tx and checks each and the whole. Its bodies are copies.
func loadRecords(tx *bbolt.Tx) (records, error) {
	b := tx.Bucket(bucketName)
	if b == nil {
		return nil, &CorruptionError{Reason: "its bucket is missing"}
	}
	all := records{}
	for c, k, v := firstOf(b); k != nil; k, v = c.Next() {
		key := string(k)
		if len(all) > maxRecords || len(key) > maxText {
			return nil, &CorruptionError{Reason: "it holds more records than there are"}
		}
		if len(v) < checksumLength {
			return nil, &CorruptionError{Key: key, Reason: "the record is too short"}
		}
		body := slices.Clone(v[checksumLength:])
		if want, got := binary.BigEndian.Uint32(v), checksum(key, body); want != got {
			return nil, &CorruptionError{Key: key, Want: want, Got: got, Reason: "checksum differs"}
		}
		all[key] = body
	}
	seal, found := all[keySeal]
	delete(all, keySeal)
	if !found {
		return nil, &CorruptionError{Key: keySeal, Reason: "the record is missing"}
	}
	if want := all.seal(); !slices.Equal(seal, want) {
		return nil, &CorruptionError{
			Key: keySeal, Want: crc32.Checksum(seal, castagnoli), Got: crc32.Checksum(want, castagnoli),
			Reason: "the records are not those that were written together",
		}
	}
	return all, nil
}

func firstOf(b *bbolt.Bucket) (*bbolt.Cursor, []byte, []byte) {
	c := b.Cursor()
	k, v := c.First()
	return c, k, v
}
