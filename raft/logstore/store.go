package logstore

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"

	"flotilla/internal/diskspace"
	"flotilla/raft/wire"
)

// Options are what a Store is opened with. The zero value of everything but Dir is usable.
type Options struct {
	// Dir holds the log's files and nothing else. It is created, mode 0700.
	Dir string
	// RotateBytes is the size of a file at which the next one takes over. Default 256 MiB.
	RotateBytes int64
	// LockTimeout is how long to wait for a predecessor to let go of Dir. Default 2 s.
	LockTimeout time.Duration
	// CacheBytes is shared by the tails of all groups. Default 64 MiB.
	CacheBytes int
	// ReserveBytes of free disk space are left alone: below it entries are refused with wire.ErrNoSpace, while
	// compactions and drops go on down to a quarter of it. Default 64 MiB; negative switches the check off.
	ReserveBytes int64
	// FreeBytes tells the free space of Dir. Default: what the operating system says.
	FreeBytes func(dir string) (int64, error)
	// Events gets what is worth telling. It must not block.
	Events func(Event)

	// files is where the files are; tests put one there that loses things.
	files fileSystem
}

// Validate reports every fault of o, joined.
func (o *Options) Validate() error {
	var errs []error
	if o.Dir == "" {
		errs = append(errs, errors.New("logstore: no directory"))
	}
	if o.RotateBytes != 0 && (o.RotateBytes < minRotateBytes || o.RotateBytes > maxRotateBytes) {
		errs = append(errs, fmt.Errorf("logstore: RotateBytes %d outside [%d, %d]", o.RotateBytes, minRotateBytes, maxRotateBytes))
	}
	if o.LockTimeout < 0 || o.CacheBytes < 0 {
		errs = append(errs, errors.New("logstore: negative LockTimeout or CacheBytes"))
	}
	return errors.Join(errs...)
}

func (o Options) populate() Options {
	if o.RotateBytes == 0 {
		o.RotateBytes = defaultRotateBytes
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = defaultLockTimeout
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.ReserveBytes == 0 {
		o.ReserveBytes = defaultReserveBytes
	}
	if o.FreeBytes == nil {
		o.FreeBytes = diskspace.Free
	}
	if o.Events == nil {
		o.Events = func(Event) {}
	}
	if o.files == nil {
		o.files = osFiles{}
	}
	return o
}

// Store is the log of all groups of a node. Commit belongs to one goroutine, everything else is safe for
// concurrent use.
type Store struct {
	opts Options
	lock *os.File

	// writing is held by Commit and Close; committing tells a second Commit at the same time, a bug of the caller.
	writing    sync.Mutex
	committing atomic.Bool
	writer     writer

	// mu guards the index. It is never held over disk.
	mu struct {
		sync.RWMutex
		groups map[wire.GroupID]*group
		gens   map[uint32]*generation
		closed bool
	}

	fence atomic.Pointer[error]
	stats counters
	house housekeeper
}

// writer is what only the committing goroutine touches.
type writer struct {
	db   *bolt.DB // active file; nil before the first commit
	gen  *generation
	size int64 // bytes used of it
	next uint64
	last uint32 // highest generation number given out
	// counts are the spans in each generation; order has the generations from oldest to active.
	counts spanCounts
	order  []*generation
	moving *moving
	aside  bool // there may be files that were set aside
	low    bool // entries are being refused for lack of space

	buf    []byte
	recs   []record
	shapes map[wire.GroupID]Shape
}

// Open opens the log in o.Dir, creating it if there is none, and replays it. Errors: ErrInUse, *FormatError, and
// *CorruptionError when the newest file cannot be read at all, or when something is missing in it of which not even
// the group is known: it may have been the group's creation or its vote. Damage that concerns single groups is no error:
// their GroupState.Err is set.
func Open(o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.populate()
	if err := makeDir(o.files, o.Dir); err != nil {
		return nil, fmt.Errorf("create log directory: %w", err)
	}
	lock, err := lockDir(o.Dir, syscall.LOCK_EX, os.O_RDWR|os.O_CREATE, o.LockTimeout)
	if err != nil {
		return nil, err
	}
	s := &Store{opts: o, lock: lock}
	s.house.init()
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open log %s: %w", o.Dir, err), s.closeSources(), lock.Close())
	}
	return s, nil
}

// load replays the directory, removes leftovers and has the next file prepared.
func (s *Store) load() error {
	nums, leftovers, err := scanDir(s.opts.files, s.opts.Dir)
	if err != nil {
		return err
	}
	r := newReplay(s.opts.files, func(c Corrupted) { s.opts.Events(c) })
	for _, num := range nums {
		if err = r.file(num, filepath.Join(s.opts.Dir, genName(num))); err != nil {
			break
		}
	}
	s.mu.groups = r.groups
	s.mu.gens = map[uint32]*generation{}
	for _, g := range r.gens {
		s.mu.gens[g.num] = g
	}
	switch {
	case err != nil:
		return err
	case r.broken != nil:
		return r.broken
	case r.allSuspect != nil:
		return r.allSuspect
	}
	if err := s.settle(r.gens); err != nil {
		return err
	}
	r.finish()
	if err := s.removeAll(append(leftovers, r.empty...)); err != nil {
		return err
	}
	for _, g := range r.gens { // the last active one may be longer than it need be
		if err := cutToLength(g.path, g.source.file); err != nil {
			return fmt.Errorf("cut to length: %w", err)
		}
	}
	s.writer = writer{
		next: max(r.next, 1), counts: r.counts, order: r.gens, shapes: map[wire.GroupID]Shape{},
	}
	if len(nums) > 0 {
		s.writer.last = nums[len(nums)-1]
	}
	if s.writer.aside = true; r.newly {
		s.setAside(r.gens)
	}
	s.clearAside()
	s.chooseDrain()
	s.opened(r)
	s.house.prepare(s)
	return nil
}

// settle makes the last commit durable before anybody is told of it, so that no power cut takes it back after that. A process that was killed may
// have left its meta page in the system's cache alone; or its sync failed, and the system takes the page for written since, so it is
// written again. All else was synced before that page was written.
func (s *Store) settle(gens []*generation) error {
	if len(gens) == 0 {
		return nil
	}
	g := gens[len(gens)-1]
	if err := s.opts.files.settle(g.path, g.source.file.MetaAt()); err != nil {
		return fmt.Errorf("sync what the last process wrote: %w", err)
	}
	return nil
}

func (s *Store) removeAll(paths []string) error {
	for _, path := range paths {
		if err := s.opts.files.remove(path); err != nil {
			return fmt.Errorf("remove leftover: %w", err)
		}
	}
	if len(paths) == 0 {
		return nil
	}
	return s.opts.files.syncDir(s.opts.Dir)
}

func (s *Store) opened(r *replay) {
	e := Opened{Groups: len(r.groups), Generations: len(r.gens), Blobs: r.blobs}
	for _, g := range r.gens {
		e.Bytes += g.bytes
	}
	for _, st := range s.Groups() {
		if st.Err != nil {
			e.Quarantined++
			s.opts.Events(Quarantined{Group: st.Group, Err: st.Err})
		}
	}
	s.opts.Events(e)
}

// scanDir lists the generations in dir, ascending, and the files left over from a preparation that was cut short.
func scanDir(fs fileSystem, dir string) (nums []uint32, leftovers []string, err error) {
	names, err := fs.list(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("list log directory: %w", err)
	}
	for _, name := range names {
		if num, ok := genNumber(name); ok {
			nums = append(nums, num)
		} else if filepath.Ext(name) == tmpSuffix {
			leftovers = append(leftovers, filepath.Join(dir, name))
		}
	}
	slices.Sort(nums)
	if len(nums) > 0 && nums[len(nums)-1] == math.MaxUint32 {
		return nil, nil, &FormatError{File: genName(math.MaxUint32), Detail: "generation numbers are used up"}
	}
	return nums, leftovers, nil
}

// Groups returns the state of every group, by id.
func (s *Store) Groups() []wire.GroupState {
	s.mu.RLock()
	defer s.mu.RUnlock()
	states := make([]wire.GroupState, 0, len(s.mu.groups))
	for _, g := range s.mu.groups {
		states = append(states, g.state())
	}
	slices.SortFunc(states, func(a, b wire.GroupState) int {
		if a.Group < b.Group {
			return -1
		}
		return 1
	})
	return states
}

// Close waits for readers and for work in the background, and lets go of every file. It may be called again.
func (s *Store) Close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	was := s.mu.closed
	s.mu.closed = true
	s.mu.Unlock()
	if was {
		return nil
	}
	return errors.Join(s.house.stop(s), s.closeSources(), s.cutActive(), s.lock.Close())
}

// cutActive gives back the room at the end of the file that was active.
func (s *Store) cutActive() error {
	if s.writer.gen == nil || s.Fenced() != nil {
		return nil
	}
	p, err := openSealed(s.opts.files, s.writer.gen.path)
	if err != nil {
		return err
	}
	return errors.Join(cutToLength(p.Path(), p), p.Close())
}

// closeSources retires every file and waits until the last reader has let go.
func (s *Store) closeSources() error {
	s.mu.Lock()
	var sources []*source
	for _, g := range s.mu.gens {
		sources = append(sources, g.source)
	}
	s.mu.Unlock()
	var errs []error
	for _, src := range sources {
		src.retire()
		<-src.closed
		errs = append(errs, src.err)
	}
	return errors.Join(errs...)
}
