package ledger

import (
	"encoding/binary"
	"fmt"
	"math"

	"go.etcd.io/bbolt"

	"flotilla"
)

var _ flotilla.Durable = (*Ledger)(nil)

// Ledger is one group's accounts. An account that has nothing is not there, so that equal states are equal bytes.
type Ledger struct {
	book *Book
	name []byte // of the group's bucket
	head head   // as on disk
	// fault is why nothing is done any more: a transaction failed, and what is on disk is known after a restart only.
	fault error
}

// Applied implements flotilla.Durable.
func (l *Ledger) Applied() flotilla.Index { return l.head.applied }

// Apply implements flotilla.StateMachine: one transaction for the batch, its effects and its index, and one fsync. A batch is what came in
// while the one before was written, so that there are few of them under load.
func (l *Ledger) Apply(batch []flotilla.Command) (results [][]byte, err error) {
	next := l.head
	next.applied = batch[len(batch)-1].Index
	err = l.update(func(tx *bbolt.Tx) error {
		group, err := tx.CreateBucketIfNotExists(l.name)
		if err != nil {
			return err
		}
		accounts, err := group.CreateBucketIfNotExists(next.bucket())
		if err != nil {
			return err
		}
		s := sheet{Bucket: accounts, used: next.accounts}
		for _, c := range batch {
			if err := Vet(c.Data); err != nil {
				return fmt.Errorf("command at %d: %w", c.Index, err)
			}
			results = append(results, s.execute(c.Data))
		}
		next.accounts = s.used
		if s.err != nil {
			return s.err
		}
		return group.Put(headKey, next.bytes())
	})
	if err != nil {
		return nil, err
	}
	l.head = next
	return results, nil
}

// update runs a transaction, the last one if it fails.
func (l *Ledger) update(change func(*bbolt.Tx) error) error {
	if l.fault != nil {
		return l.fault
	}
	l.fault = l.book.update(change)
	return l.fault
}

// sheet is the accounts within a transaction. The first error stays.
type sheet struct {
	*bbolt.Bucket
	used uint64
	err  error
}

// execute does what a command says, all of it or nothing, and returns its result: status, balance of the account that it began with.
func (s *sheet) execute(c []byte) []byte {
	op, from, to, amount := c[1], c[2:10], c[10:18], binary.BigEndian.Uint64(c[18:])
	status := Done
	had, has := balance(s.Bucket, from), balance(s.Bucket, to)
	self := op == opTransfer && string(from) == string(to)
	switch {
	case op == opTransfer && had < amount:
		status = Short
	case !self && (has > math.MaxUint64-amount || has == 0 && amount > 0 && s.used >= MaxAccounts):
		status = Full
	case self:
	default:
		if op == opTransfer {
			s.set(from, had, had-amount)
		}
		s.set(to, has, has+amount)
	}
	about := from
	if op == opDeposit {
		about = to
	}
	return binary.BigEndian.AppendUint64([]byte{byte(status)}, balance(s.Bucket, about))
}

func balance(accounts *bbolt.Bucket, of []byte) uint64 {
	if v := accounts.Get(of); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

// set gives an account that had was another balance.
func (s *sheet) set(account []byte, was, now uint64) {
	var err error
	if now == 0 {
		err = s.Delete(account)
	} else {
		err = s.Put(account, binary.BigEndian.AppendUint64(nil, now))
	}
	if s.err == nil {
		s.err = err
	}
	if was == 0 && now > 0 {
		s.used++
	}
	if was > 0 && now == 0 {
		s.used--
	}
}

// Query implements flotilla.StateMachine.
func (l *Ledger) Query(request []byte) (answer []byte, err error) {
	if len(request) != 8 {
		return nil, fmt.Errorf("a request of %d bytes: AppendQuery makes one", len(request))
	}
	err = l.book.db.View(func(tx *bbolt.Tx) error {
		has := uint64(0)
		if accounts := l.accounts(tx); accounts != nil {
			has = balance(accounts, request)
		}
		answer = binary.BigEndian.AppendUint64(nil, has)
		return nil
	})
	return answer, err
}

// accounts are those that count as of tx; nil before the first command.
func (l *Ledger) accounts(tx *bbolt.Tx) *bbolt.Bucket {
	if group := tx.Bucket(l.name); group != nil {
		return group.Bucket(l.head.bucket())
	}
	return nil
}

// Close implements io.Closer: the replica has ended, and its accounts go. The file is the book's.
func (l *Ledger) Close() error {
	return l.book.update(func(tx *bbolt.Tx) error {
		if tx.Bucket(l.name) == nil {
			return nil
		}
		return tx.DeleteBucket(l.name)
	})
}
