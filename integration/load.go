package integration

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"flotilla/raft/wire"
)

// Store is the part of the client that loads need. Errors are classed by outcomeOf.
type Store interface {
	// Put writes and returns the revision; expect nil means unconditionally, 0 "must not exist".
	Put(ctx context.Context, key string, value []byte, expect *uint64) (revision uint64, err error)
	// Get reads linearizably; found is false for a key that is not there.
	Get(ctx context.Context, key string) (value []byte, revision uint64, found bool, err error)
}

// ErrPrecondition is what a Store answers to a write whose expected revision did not match.
var ErrPrecondition = errors.New("revision does not match")

// outcomeOf says what a write's error means. Only errors that are known to mean "did not happen" count as
// that; whatever else comes may have happened.
func outcomeOf(err error) outcome {
	var refused *wire.Error
	switch {
	case err == nil:
		return applied
	case errors.Is(err, ErrPrecondition):
		return notApplied
	case errors.As(err, &refused) && refused.Code != wire.CodeInternal && !refused.Ambiguous():
		return notApplied
	default:
		return unknown
	}
}

// Ledger is what writers were told: every acknowledged write of a load, by key. Keys are never written twice.
type Ledger struct {
	mu struct {
		sync.Mutex
		acked   map[string]uint64 // key to revision
		unknown int
		refused int
	}
	// last is when the latest acknowledgement came, as UnixNano.
	last atomic.Int64
	// gap is the longest time between two acknowledgements since the last TakeGap, guarded by mu.
	gap time.Duration
}

// NewLedger returns an empty ledger.
func NewLedger() *Ledger {
	l := &Ledger{}
	l.mu.acked = map[string]uint64{}
	return l
}

// Counts returns how many writes were acknowledged, have an unknown outcome, or were refused.
func (l *Ledger) Counts() (acked, unknown, refused int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.mu.acked), l.mu.unknown, l.mu.refused
}

// TakeGap returns the longest time between two acknowledgements since the last call.
func (l *Ledger) TakeGap() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	gap := l.gap
	l.gap = 0
	return gap
}

// LastAck is when the latest acknowledgement came.
func (l *Ledger) LastAck() time.Time { return time.Unix(0, l.last.Load()) }

func (l *Ledger) note(key string, revision uint64, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch o {
	case applied:
		l.mu.acked[key] = revision
		now := time.Now()
		if last := l.last.Swap(now.UnixNano()); last != 0 {
			l.gap = max(l.gap, now.Sub(time.Unix(0, last)))
		}
	case unknown:
		l.mu.unknown++
	case notApplied:
		l.mu.refused++
	}
}

// Fill writes n keys named prefix-NNNNNN through the stores in turn, by clients goroutines, until done or ctx ends.
// n 0 means until ctx ends. The value of a key is "v-" and the key.
func (l *Ledger) Fill(ctx context.Context, stores []Store, clients int, prefix string, n int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			store := stores[c%len(stores)]
			for ctx.Err() == nil {
				i := next.Add(1)
				if n > 0 && i > int64(n) {
					return
				}
				key := fmt.Sprintf("%s-%06d", prefix, i)
				attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
				revision, err := store.Put(attempt, key, []byte("v-"+key), nil)
				cancel()
				l.note(key, revision, outcomeOf(err))
			}
		})
	}
	wg.Wait()
}

// Verify reads every acknowledged key and returns an error that names the first lost or changed one.
func (l *Ledger) Verify(ctx context.Context, store Store) error {
	l.mu.Lock()
	keys := make(chan string, len(l.mu.acked))
	for key := range l.mu.acked {
		keys <- key
	}
	l.mu.Unlock()
	close(keys)
	errs := make(chan error, verifiers)
	var wg sync.WaitGroup
	for range verifiers {
		wg.Go(func() {
			for key := range keys {
				if err := l.verifyKey(ctx, store, key); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// verifiers is how many reads Verify has under way at once.
const verifiers = 32

func (l *Ledger) verifyKey(ctx context.Context, store Store, key string) error {
	value, revision, found, err := store.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("read %s back: %w", key, err)
	}
	l.mu.Lock()
	want := l.mu.acked[key]
	l.mu.Unlock()
	switch {
	case !found:
		return fmt.Errorf("acknowledged write lost: key %s is not there", key)
	case string(value) != "v-"+key:
		return fmt.Errorf("acknowledged write changed: key %s has value %q", key, value)
	case revision != want:
		return fmt.Errorf("write applied twice: key %s was acknowledged at revision %d and stands at %d", key, want, revision)
	}
	return nil
}
