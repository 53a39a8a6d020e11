package boltfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

var own = []byte("own")

// seed makes a bbolt file with n values in bucket "j", of all sizes, the larger ones in buckets of their own.
func seed(t testing.TB, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "seed.db")
	db, err := bolt.Open(path, 0o600, &bolt.Options{PageSize: PageSize, NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		err := db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("j"))
			if err != nil {
				return err
			}
			if i%3 != 0 {
				return b.Put(key(i), value(i))
			}
			if b, err = b.CreateBucket(key(i)); err != nil {
				return err
			}
			return b.Put(own, value(i))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func key(i int) []byte   { return binary.BigEndian.AppendUint64(nil, uint64(i)) }
func value(i int) []byte { return bytes.Repeat([]byte{byte(i)}, i*i%9000) }

func open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	p, err := Open(f, path)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return p, nil
}

// TestWalk reads what bbolt wrote: in order, complete, and each value again by its place. From an empty
// bucket on, through inline ones, to trees of several levels.
func TestWalk(t *testing.T) {
	for _, n := range []int{1, 2, 5, 40, 700} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			p, err := open(seed(t, n))
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if p.LostMeta() || p.LastTx() < uint64(n) {
				t.Errorf("last transaction %d, lost meta %v", p.LastTx(), p.LostMeta())
			}
			root, ok, err := p.Bucket([]byte("j"))
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			i, noted := 0, 0
			use := func(k, v []byte, at Place) error {
				again, err := p.Read(at.Off, at.N)
				if !bytes.Equal(k, key(i)) || !bytes.Equal(v, value(i)) || !bytes.Equal(again, v) {
					t.Errorf("value %d is %d bytes under %x (%v)", i, len(v), k, err)
				}
				i++
				return err
			}
			bad := func(d *Damage) error { return d }
			if err := (&Walker{Own: own, Use: use, Bad: bad}).Walk(root); err != nil || i != n {
				t.Errorf("%d values of %d: %v", i, n, err)
			}
			note := func([]byte, Place) { noted++ }
			if err := (&Walker{Own: own, Note: note, Bad: bad}).Walk(root); err != nil || noted != n {
				t.Errorf("%d places of %d: %v", noted, n, err)
			}
			if _, ok, err := p.Bucket([]byte("nothing")); ok || err != nil {
				t.Errorf("a bucket that is not there: %v, %v", ok, err)
			}
		})
	}
}

// TestShortFile: whatever the length, a file shorter than its meta pages say is damage, not a SIGBUS (D26).
func TestShortFile(t *testing.T) {
	path := seed(t, 40)
	p, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	used := p.Bytes()
	p.Close()
	for _, cut := range []int64{used - 1, used - PageSize, used / 2, 3 * PageSize, 2 * PageSize, PageSize, 80, 1, 0} {
		if err := os.Truncate(path, cut); err != nil {
			t.Fatal(err)
		}
		var d *Damage
		if _, err := open(path); !errors.As(err, &d) {
			t.Errorf("cut to %d of %d: %v", cut, used, err)
		}
	}
}

// FuzzFile: no file makes this package panic, read outside the file, or run for ever.
func FuzzFile(f *testing.F) {
	image, err := os.ReadFile(seed(f, 40))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0), []byte{})
	f.Add(uint32(4096*3+8), []byte{1})
	f.Add(uint32(4096*5+12), []byte{0xff, 0xff, 0xff, 0xff})
	f.Add(uint32(4096*6+16), []byte{0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		b := bytes.Clone(image)
		copy(b[int(at)%len(b):], patch)
		path := filepath.Join(t.TempDir(), "f.db")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var d *Damage
		p, err := open(path)
		if errors.As(err, &d) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		root, ok, err := p.Bucket([]byte("j"))
		if err != nil || !ok {
			if err != nil && !errors.As(err, &d) {
				t.Fatal(err)
			}
			return
		}
		w := Walker{
			Own: own,
			Use: func(_, v []byte, at Place) error {
				_, err := p.Read(at.Off, at.N)
				return err
			},
			Bad: func(*Damage) error { return nil },
		}
		if err := w.Walk(root); err != nil && !errors.As(err, &d) {
			t.Fatal(err)
		}
	})
}
