package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"flotilla"
)

// Book is the file that holds the ledgers of all groups of a node: a bucket per group, in it the head and the accounts. The loop calls
// the machines of different groups at the same time; bbolt lets one transaction write at a time.
type Book struct {
	db *bbolt.DB
	// committed is called after each transaction. Tests only.
	committed func()
}

// Open opens or makes the book at path, whose directory must exist. It waits two seconds for another process that has it.
func Open(path string) (*Book, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, InitialMmapSize: mapBytes})
	if err != nil {
		return nil, fmt.Errorf("open ledgers %s: %w", path, err)
	}
	db.AllocSize = growBytes
	return &Book{db: db, committed: func() {}}, nil
}

// Close lets go of the file. Close the node first.
func (b *Book) Close() error { return b.db.Close() }

// Machine returns the machine of a group; it is made for Config.NewMachine.
func (b *Book) Machine(g flotilla.GroupID) flotilla.StateMachine { return b.ledger(g) }

func (b *Book) ledger(g flotilla.GroupID) *Ledger {
	l := &Ledger{book: b, name: binary.BigEndian.AppendUint64(nil, uint64(g))}
	l.fault = b.db.View(func(tx *bbolt.Tx) (err error) {
		if bucket := tx.Bucket(l.name); bucket != nil {
			l.head, err = readHead(bucket.Get(headKey))
		}
		return err
	})
	return l
}

// update runs one transaction, durable when it returns nil; after an error nobody knows whether it is.
func (b *Book) update(change func(*bbolt.Tx) error) error {
	err := b.db.Update(change)
	if err == nil {
		b.committed()
	}
	return err
}

// head is what a ledger knows of itself. It is written in the transaction of what it describes.
type head struct {
	applied  flotilla.Index
	accounts uint64
	live     byte // which of the two buckets of accounts counts: 0 or 1
}

var headKey = []byte("head")

// bucket is the name of the accounts that count.
func (h head) bucket() []byte { return []byte{'0' + h.live} }

func (h head) bytes() []byte {
	b := binary.BigEndian.AppendUint64([]byte{version, h.live}, uint64(h.applied))
	return binary.BigEndian.AppendUint64(b, h.accounts)
}

func readHead(b []byte) (head, error) {
	if len(b) != 18 || b[0] != version || b[1] > 1 {
		return head{}, errors.New("the head of a ledger cannot be understood: start the version of the program that wrote it")
	}
	return head{live: b[1], applied: flotilla.Index(binary.BigEndian.Uint64(b[2:])), accounts: binary.BigEndian.Uint64(b[10:])}, nil
}
