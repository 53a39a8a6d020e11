package ledger

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"go.etcd.io/bbolt"

	"flotilla"
)

// A state is version (1 byte) and the number of accounts (8), then of each account, in rising order, its name (8) and balance (8).
const (
	stateHeadSize = 1 + 8
	stateItemSize = 8 + 8
)

// frozen is a transaction that reads: bbolt keeps the pages it sees, while later ones go elsewhere.
type frozen struct {
	tx       *bbolt.Tx
	accounts *bbolt.Bucket // nil for none
	count    uint64
}

// Freeze implements flotilla.Snapshotter. Every transaction is durable, so everything is.
func (l *Ledger) Freeze() (flotilla.Frozen, error) {
	if l.fault != nil {
		return nil, l.fault
	}
	tx, err := l.book.db.Begin(false)
	if err != nil {
		return nil, err
	}
	return &frozen{tx: tx, accounts: l.accounts(tx), count: l.head.accounts}, nil
}

// Close implements flotilla.Frozen.
func (f *frozen) Close() error { return f.tx.Rollback() }

// WriteTo implements flotilla.Frozen.
func (f *frozen) WriteTo(to io.Writer) (int64, error) {
	counted := &counter{Writer: to}
	w := bufio.NewWriterSize(counted, bufferBytes)
	_, err := w.Write(binary.BigEndian.AppendUint64([]byte{version}, f.count))
	if f.accounts != nil && err == nil {
		err = f.accounts.ForEach(func(account, balance []byte) error {
			_, err := w.Write(append(append(w.AvailableBuffer(), account...), balance...))
			return err
		})
	}
	if err == nil {
		err = w.Flush()
	}
	return counted.n, err
}

type counter struct {
	io.Writer
	n int64
}

// Write implements io.Writer.
func (c *counter) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n += int64(n)
	return n, err
}

// Restore implements flotilla.Snapshotter. The state comes in beside the present one, in many transactions; the last one lets it count, with
// its index. A crash before leaves accounts that do not count, which the next Restore takes away, and so does an error.
func (l *Ledger) Restore(at flotilla.Index, state io.Reader) error {
	next := head{applied: at, live: 1 - l.head.live}
	err := l.update(func(tx *bbolt.Tx) error {
		group, err := tx.CreateBucketIfNotExists(l.name)
		if err != nil {
			return err
		}
		if group.Bucket(next.bucket()) != nil {
			if err := group.DeleteBucket(next.bucket()); err != nil {
				return err
			}
		}
		_, err = group.CreateBucket(next.bucket())
		if err == nil && l.head == (head{}) { // the group's bucket is new
			err = group.Put(headKey, l.head.bytes())
		}
		return err
	})
	if err != nil {
		return err
	}
	if next.accounts, err = l.bringIn(next, bufio.NewReaderSize(state, bufferBytes)); err != nil {
		gone := l.update(func(tx *bbolt.Tx) error { return tx.Bucket(l.name).DeleteBucket(next.bucket()) })
		return fmt.Errorf("restore the ledger as of %d: %w", at, errors.Join(err, gone))
	}
	err = l.update(func(tx *bbolt.Tx) error {
		group := tx.Bucket(l.name)
		if group.Bucket(l.head.bucket()) != nil {
			if err := group.DeleteBucket(l.head.bucket()); err != nil {
				return err
			}
		}
		return group.Put(headKey, next.bytes())
	})
	if err == nil {
		l.head = next
	}
	return err
}

// bringIn writes a state to where it does not count yet, and returns how many accounts it has. It reads outside of transactions: the
// stream may be slow, and other groups write to the same file.
func (l *Ledger) bringIn(next head, r *bufio.Reader) (uint64, error) {
	start := make([]byte, stateHeadSize)
	if _, err := io.ReadFull(r, start); err != nil {
		return 0, cutOff(err)
	}
	count := binary.BigEndian.Uint64(start[1:])
	if start[0] != version || count > MaxAccounts {
		return 0, fmt.Errorf("version %d with %d accounts: this program reads version %d with %d at most", start[0], count, version, MaxAccounts)
	}
	last := make([]byte, 0, 8) // a copy: the next batch overwrites what it was in
	batch := make([]byte, stateItemSize*min(count, restoreBatch))
	for left := count; left > 0; {
		items := batch[:stateItemSize*min(left, restoreBatch)]
		if _, err := io.ReadFull(r, items); err != nil {
			return 0, cutOff(err)
		}
		for i := 0; i < len(items); i += stateItemSize {
			account, balance := items[i:i+8], items[i+8:i+stateItemSize]
			if i > 0 || left < count {
				if string(account) <= string(last) {
					return 0, errors.New("accounts are out of order")
				}
			}
			if binary.BigEndian.Uint64(balance) == 0 {
				return 0, errors.New("an account that has nothing")
			}
			last = append(last[:0], account...)
		}
		if err := l.update(func(tx *bbolt.Tx) error { return fill(tx.Bucket(l.name).Bucket(next.bucket()), items) }); err != nil {
			return 0, err
		}
		left -= uint64(len(items) / stateItemSize)
	}
	if _, err := r.ReadByte(); err == nil {
		return 0, errors.New("the state goes on behind its end")
	} else if !errors.Is(err, io.EOF) {
		return 0, err
	}
	return count, nil
}

// fill appends accounts in rising order, so that pages may be full.
func fill(accounts *bbolt.Bucket, items []byte) error {
	accounts.FillPercent = 1
	for i := 0; i < len(items); i += stateItemSize {
		if err := accounts.Put(items[i:i+8], items[i+8:i+stateItemSize]); err != nil {
			return err
		}
	}
	return nil
}

// cutOff makes the end of a stream that comes too early an error that says so.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
