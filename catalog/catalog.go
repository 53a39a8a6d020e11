package catalog

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"flotilla/internal/assert"
	"flotilla/internal/diskspace"
	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// Options of Open. The zero value is usable.
type Options struct {
	// LockTimeout is how long to wait for another process to let go of the file. Default 2 s.
	LockTimeout time.Duration
	// Changed is called after each committed change with what the catalog holds then, by the goroutine that
	// made the change, under no lock. It must not block. Nil for none.
	Changed func(*Snapshot)

	// FreeBytes tells the free space of the file's directory. Default: what the operating system says.
	FreeBytes func(dir string) (int64, error)

	// formats is the ledger to work by; nil for the real one. Tests have a future and a past.
	formats []format
	// beforeCommit is called within each transaction, before its commit; an error aborts it. Tests only.
	beforeCommit func() error
}

// Catalog is an open catalog.db. See the package comment.
type Catalog struct {
	path string
	opts Options
	view atomic.Pointer[Snapshot]

	mu struct { // serialises changes; reads go by view
		sync.Mutex
		db      *bbolt.DB // nil after Close
		records records   // what is on disk
		fenced  error     // set by the first commit that failed
	}
}

// Open opens the catalog at path, whose directory must exist, and makes an empty one where there is none.
// Errors: *InUseError, *FormatError, *CorruptionError, or what the file system said.
func Open(path string, opts Options) (*Catalog, error) {
	if opts.LockTimeout <= 0 {
		opts.LockTimeout = defaultLockTimeout
	}
	if opts.formats == nil {
		opts.formats = ledger
	}
	if opts.FreeBytes == nil {
		opts.FreeBytes = diskspace.Free
	}
	if err := createFile(path, opts.formats); err != nil {
		return nil, fmt.Errorf("create catalog %s: %w", path, err)
	}
	db, err := openFile(path, opts.LockTimeout, forWriting)
	if err != nil {
		return nil, fmt.Errorf("open catalog: %w", named(err, path))
	}
	c := &Catalog{path: path, opts: opts}
	c.mu.db = db
	if err := errors.Join(c.load(), removeLeftovers(path)); err != nil {
		return nil, errors.Join(fmt.Errorf("open catalog: %w", named(err, path)), db.Close())
	}
	return c, nil
}

// Inspect reads the catalog at path without ever writing to it, an older format in memory only.
func Inspect(path string, lockTimeout time.Duration) (*Snapshot, error) {
	db, err := openFile(path, lockTimeout, forReading)
	if err != nil {
		return nil, fmt.Errorf("inspect catalog: %w", named(err, path))
	}
	_, now, err := readRecords(db, ledger)
	var s *Snapshot
	if err == nil {
		s, err = parseState(now)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, fmt.Errorf("inspect catalog: %w", named(err, path))
	}
	return s, nil
}

// named fills the file's path into the errors that carry one.
func named(err error, path string) error {
	var corrupt *CorruptionError
	if errors.As(err, &corrupt) {
		corrupt.File = path
	}
	var format *FormatError
	if errors.As(err, &format) {
		format.Path = path
	}
	return err
}

// readRecords returns the records on disk, and as formats' newest has them.
func readRecords(db *bbolt.DB, formats []format) (onDisk, now records, err error) {
	err = guard(func() error {
		return db.View(func(tx *bbolt.Tx) (err error) {
			onDisk, err = loadRecords(tx)
			return err
		})
	})
	if err == nil {
		now, err = migrate(onDisk, formats)
	}
	return onDisk, now, err
}

// load reads the file, and writes the records anew if a migration has changed them.
func (c *Catalog) load() error {
	onDisk, now, err := readRecords(c.mu.db, c.opts.formats)
	if err != nil {
		return err
	}
	s, err := parseState(now)
	if err != nil {
		return err
	}
	c.mu.records = onDisk
	if string(onDisk[keyFormat]) != string(now[keyFormat]) {
		if err := c.write(now); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
	}
	c.view.Store(s)
	return nil
}

// View returns what the catalog holds now, as of the last committed change. It never blocks, and works after Close.
func (c *Catalog) View() *Snapshot { return c.view.Load() }

// Identity returns who the node is, and whether that has been settled.
func (c *Catalog) Identity() (Identity, bool) {
	s := c.View()
	return s.Identity, s.Born
}

// Bootstrap settles identity, settings, topology, groups and routing in one transaction (P30, F47). It
// refuses with ErrBorn if there is an identity (F46).
func (c *Catalog) Bootstrap(b Birth) error {
	if err := b.Validate(); err != nil {
		return fmt.Errorf("bootstrap catalog: %w", err)
	}
	return c.change("bootstrap catalog", func(was Snapshot) (Snapshot, error) {
		if was.Born {
			return was, ErrBorn
		}
		s := b.snapshot()
		s.Format = was.Format
		return s, nil
	})
}

// NextIncarnation counts a start of the node and returns its number, durable when it returns.
func (c *Catalog) NextIncarnation() (wire.Incarnation, error) {
	var n wire.Incarnation
	err := c.change("count the start", func(s Snapshot) (Snapshot, error) {
		if !s.Born {
			return s, ErrUnborn
		}
		s.Incarnation++
		n = s.Incarnation
		return s, nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Close closes the file and releases its lock. It is idempotent; View goes on working.
func (c *Catalog) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	db := c.mu.db
	if db == nil {
		return nil
	}
	c.mu.db = nil
	if err := db.Close(); err != nil {
		return fmt.Errorf("close catalog %s: %w", c.path, err)
	}
	return nil
}

// errUnchanged is returned by a step of change that leaves everything as it is: nothing is written.
var errUnchanged = errors.New("unchanged")

// change runs one step from state to state and makes it durable. step gets a copy whose slices are shared
// with the view: it replaces them, never writes to them.
func (c *Catalog) change(what string, step func(Snapshot) (Snapshot, error)) error {
	now, err := c.changeLocked(step)
	switch {
	case errors.Is(err, errUnchanged):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	}
	if c.opts.Changed != nil {
		c.opts.Changed(now)
	}
	return nil
}

func (c *Catalog) changeLocked(step func(Snapshot) (Snapshot, error)) (*Snapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.db == nil {
		return nil, ErrClosed
	}
	if c.mu.fenced != nil {
		return nil, c.mu.fenced
	}
	was := c.view.Load()
	now, err := step(*was)
	if err != nil {
		return nil, err
	}
	assertRises(was, &now)
	if mutant.Is(mutant.AppliedApart) && now.Applied != was.Applied {
		apart := now
		apart.Applied = was.Applied
		_ = c.write(stateRecords(&apart))
	}
	if err := c.write(stateRecords(&now)); err != nil {
		return nil, err
	}
	c.view.Store(&now)
	return &now, nil
}

// assertRises holds what only rises, in whatever way it is changed (P20, P32, F43).
func assertRises(was, now *Snapshot) {
	assert.That(now.Topology.Version >= was.Topology.Version && now.Routing.Version >= was.Routing.Version,
		"catalog: topology %d to %d, routing %d to %d", was.Topology.Version, now.Topology.Version, was.Routing.Version, now.Routing.Version)
	assert.That(now.Epoch >= was.Epoch && now.EpochTerm >= was.EpochTerm && now.Applied >= was.Applied && now.Incarnation >= was.Incarnation,
		"catalog: epoch %d to %d, applied %d to %d, incarnation %d to %d",
		was.Epoch, now.Epoch, was.Applied, now.Applied, was.Incarnation, now.Incarnation)
	assert.That(!was.Born || now.Identity == was.Identity, "catalog: node %d changes its identity", was.Identity.NodeID)
}

// checkSpace refuses with wire.ErrNoSpace what the disk may have no room for, before anything is attempted.
func (c *Catalog) checkSpace(r records) error {
	need := int64(reserveBytes)
	for _, body := range r {
		need += copiesPerCommit * int64(len(body))
	}
	if _, err := diskspace.Check(c.opts.FreeBytes, filepath.Dir(c.path), need); err != nil {
		return fmt.Errorf("%w: %w", wire.ErrNoSpace, err)
	}
	return nil
}

// write makes r durable in one transaction. wire.ErrNoSpace says that nothing was attempted; after any other error the
// outcome is unknown, so the catalog is fenced.
func (c *Catalog) write(r records) error {
	if err := c.checkSpace(r); err != nil {
		return err
	}
	err := guard(func() error {
		return c.mu.db.Update(func(tx *bbolt.Tx) error {
			if err := r.store(tx, c.mu.records); err != nil {
				return err
			}
			if c.opts.beforeCommit != nil {
				return c.opts.beforeCommit()
			}
			return nil
		})
	})
	if err != nil && !mutant.Is(mutant.CatalogGoesOn) {
		c.mu.fenced = fmt.Errorf("%w: %w", ErrFenced, named(err, c.path))
		return c.mu.fenced
	}
	c.mu.records = r
	return nil
}
