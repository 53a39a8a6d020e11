package snapshotstream

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"flotilla/internal/crashpoint"
	"flotilla/internal/diskspace"
	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// Config is where and how a Store keeps snapshots.
type Config struct {
	// Dir is the node's data directory; it exists, and nobody else works in its snap/ and recv/.
	Dir string
	// Files is the file system; nil is the operating system's.
	Files Files
	// Free says how many bytes are free in a directory; nil asks the operating system.
	Free func(dir string) (int64, error)
	// ReserveBytes of free space are left alone; 0 is 128 MiB.
	ReserveBytes int64
	// ChunkSize is that of snapshots made here, in bytes; 0 is DefaultChunk.
	ChunkSize uint32
}

// Store keeps the snapshots of a node's groups in a directory: the newest two of each group, whole or not there. All
// methods may be called from several goroutines; those of one group wait for each other's disk, those of different
// groups do not.
type Store struct {
	cfg       Config
	files     Files
	at        layout
	recovered []Step
	stages    atomic.Uint64 // numbers the files of Stage

	mu     sync.Mutex
	groups map[wire.GroupID]*group
}

// group is what is known of one group's snapshots.
type group struct {
	id wire.GroupID
	// newest is the first of held, for who must not wait for a lock that is kept over the disk; nil for none.
	newest atomic.Pointer[Header]

	mu     sync.Mutex // over everything below and the group's files
	held   []*kept    // newest first
	staged *staging
	making bool
	life   uint64   // counts the replicas that left: what began in an earlier life ends without a trace
	struck []strike // oldest first
}

// kept is a whole snapshot.
type kept struct {
	header  Header
	readers int
}

// Open plans what has to become of leftovers, does so, and returns the Store. Errors: the file system's; a
// *VersionError for snapshots of a later program. Damaged snapshots are no error: Recovered names them.
func Open(cfg Config) (*Store, error) {
	if cfg.ChunkSize == 0 {
		cfg.ChunkSize = DefaultChunk
	}
	if cfg.ChunkSize < MinChunk || cfg.ChunkSize > MaxChunk {
		return nil, fmt.Errorf("open snapshots in %s: %w: chunk size %d, it has to be %d to %d", cfg.Dir, ErrHeader, cfg.ChunkSize, MinChunk, MaxChunk)
	}
	cfg.ReserveBytes = cmp.Or(cfg.ReserveBytes, defaultReserveBytes)
	s := &Store{cfg: cfg, files: cfg.Files, at: layout{cfg.Dir}, groups: map[wire.GroupID]*group{}}
	if s.files == nil {
		s.files = osFiles{}
	}
	if s.cfg.Free == nil {
		s.cfg.Free = diskspace.Free
	}
	if err := s.recover(); err != nil {
		return nil, fmt.Errorf("open snapshots in %s: %w", cfg.Dir, err)
	}
	return s, nil
}

// recover makes the directories, carries out the plan, and takes in what the directory holds then.
func (s *Store) recover() error {
	for _, dir := range []string{s.at.snaps(), s.at.received()} {
		if err := s.files.Mkdir(dir); err != nil {
			return err
		}
	}
	if err := s.files.SyncDir(s.cfg.Dir); err != nil {
		return err
	}
	before, err := look(s.files, s.at)
	if err != nil {
		return err
	}
	s.recovered = plan(&before, s.at)
	if err := execute(s.files, s.recovered); err != nil {
		return err
	}
	after, err := look(s.files, s.at)
	if err != nil {
		return err
	}
	if left := plan(&after, s.at); len(left) > 0 {
		return fmt.Errorf("leftovers stay: %v", left)
	}
	for i := range after.snaps {
		g := s.group(after.snaps[i].group)
		g.held = append(g.held, &kept{header: after.snaps[i].header})
	}
	for _, g := range s.groups {
		g.sort()
		g.show()
	}
	for i := range after.staged {
		f := &after.staged[i]
		s.group(f.header.Group).staged = &staging{header: f.header, mark: f.mark, recheck: true}
	}
	return nil
}

// Recovered returns what Open did about leftovers: removed, finished, or set aside as damaged.
func (s *Store) Recovered() []Step { return slices.Clone(s.recovered) }

// group returns the one called id, making it when it is new.
func (s *Store) group(id wire.GroupID) *group {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[id]
	if g == nil {
		g = &group{id: id}
		s.groups[id] = g
	}
	return g
}

// List returns the whole snapshots of a group, the newest first.
func (s *Store) List(id wire.GroupID) []Header {
	g := s.group(id)
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]Header, len(g.held))
	for i, k := range g.held {
		list[i] = k.header
	}
	return list
}

// Newest returns the newest snapshot of a group, if there is one, and never waits for the disk. Whether the group's log and machine have got there
// is for the host to compare: that a snapshot is here says nothing of that (D18).
func (s *Store) Newest(id wire.GroupID) (Header, bool) {
	if h := s.group(id).newest.Load(); h != nil {
		return *h, true
	}
	return Header{}, false
}

// Drop removes everything of a group, as its replica leaves this node. What is being made or received of it fails with
// ErrTakenOver; readers keep what they read.
func (s *Store) Drop(id wire.GroupID) error {
	g := s.group(id)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := s.drop(g); err != nil {
		return fmt.Errorf("drop snapshots of group %d: %w", id, err)
	}
	return nil
}

func (s *Store) drop(g *group) error {
	g.life++
	g.making, g.held, g.struck = false, nil, nil
	g.show()
	if err := s.unstage(g); err != nil {
		return err
	}
	names, err := s.files.List(s.at.group(g.id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := absent(s.files, filepath.Join(s.at.group(g.id), name)); err != nil {
			return err
		}
	}
	if err := absent(s.files, s.at.group(g.id)); err != nil {
		return err
	}
	return s.files.SyncDir(s.at.snaps())
}

// Groups returns the groups of which there are snapshots, in no order.
func (s *Store) Groups() []wire.GroupID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []wire.GroupID
	for id, g := range s.groups {
		if g.newest.Load() != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// SetAside takes a snapshot that was found damaged out of use: it is kept under another name to be looked at, in the
// place of one that was set aside before.
func (s *Store) SetAside(h Header) error {
	g := s.group(h.Group)
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.find(h.Index)
	if i < 0 || g.held[i].header.ID != h.ID {
		return fmt.Errorf("set snapshot %s of group %d aside: %w", h.ID, h.Group, ErrNotHeld)
	}
	steps, err := s.clearAside(h.Group)
	if err != nil {
		return err
	}
	steps = append(steps, Step{
		Kind: StepSetAside, Path: s.at.file(&h, snapSuffix), To: s.at.file(&h, badSuffix), Why: "damaged", Group: h.Group, Err: ErrCorrupt,
	})
	if err := execute(s.files, steps); err != nil {
		return err
	}
	g.held = slices.Delete(g.held, i, i+1)
	g.show()
	return nil
}

// show tells which one is the newest. With the group's lock held.
func (g *group) show() {
	if len(g.held) == 0 {
		g.newest.Store(nil)
		return
	}
	g.newest.Store(&g.held[0].header)
}

func (s *Store) clearAside(id wire.GroupID) ([]Step, error) {
	var steps []Step
	names, err := s.files.List(s.at.group(id))
	for _, name := range names {
		if filepath.Ext(name) == filepath.Ext(badSuffix) {
			steps = append(steps, Step{Kind: StepRemove, Path: filepath.Join(s.at.group(id), name), Why: "a later one is set aside"})
		}
	}
	return steps, err
}

// find returns where the snapshot at index is held, or -1.
func (g *group) find(i wire.Index) int {
	return slices.IndexFunc(g.held, func(k *kept) bool { return k.header.Index == i })
}

func (g *group) sort() {
	slices.SortFunc(g.held, func(a, b *kept) int { return newerFirst(&a.header, &b.header) })
}

// newer says what stands against a snapshot at h's index, nil if nothing does.
func (g *group) newer(h *State) error {
	if len(g.held) == 0 || g.held[0].header.Index < h.Index {
		return nil
	}
	if newest := &g.held[0].header; newest.Index == h.Index && newest.Term == h.Term {
		return ErrHeld
	}
	return ErrOvertaken
}

// adopt takes in that a snapshot is there, under its name, and lets go of those beyond the newest ones, unless somebody
// reads them: who sends one wants to find it again after a broken connection. With the group's lock held.
func (s *Store) adopt(g *group, h Header) {
	g.held = append(g.held, &kept{header: h})
	g.sort()
	g.show()
	s.prune(g)
}

// prune removes what is beyond the newest ones. A file that cannot be removed is tried again the next time.
func (s *Store) prune(g *group) {
	for i := len(g.held) - 1; i >= Kept; i-- {
		if g.held[i].readers == 0 && absent(s.files, s.at.file(&g.held[i].header, snapSuffix)) == nil {
			g.held = slices.Delete(g.held, i, i+1)
		}
	}
}

// makeGroupDir makes the directory of a group and its name durable.
func (s *Store) makeGroupDir(id wire.GroupID) error {
	return makeDir(s.files, s.at.group(id))
}

func makeDir(files Files, dir string) error {
	if err := files.Mkdir(dir); err != nil {
		return err
	}
	return files.SyncDir(filepath.Dir(dir))
}

// room asks for space for need bytes beside the reserve. Errors: *diskspace.LowError.
func (s *Store) room(need int64) error {
	_, err := diskspace.Check(s.cfg.Free, s.cfg.Dir, need+s.cfg.ReserveBytes)
	return err
}

// settle makes the bytes of a snapshot durable, before it gets its name.
func settle(f File) error {
	if mutant.Is(mutant.PublishUnsynced) {
		return nil
	}
	return f.Sync()
}

// publish gives a snapshot whose bytes are durable its name: at once, and for good when it returns. The directory it
// comes to is synced before the one it comes from: the other way round a power cut could take both names (D8, D14). As long as the name is
// not durable another file says so, for a process that finds it after a kill: it syncs the directory before it believes the name.
func publish(files Files, from, to string) error {
	naming := strings.TrimSuffix(to, snapSuffix) + namingSuffix
	if f, err := files.Create(naming); err == nil {
		_ = f.Close() // nothing is in it
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := files.Rename(from, to); err != nil {
		return errors.Join(err, absent(files, naming))
	}
	if err := syncNames(files, from, to); err != nil {
		return err
	}
	_ = absent(files, naming) // or the next start does it
	return nil
}

// syncNames makes durable that a file has moved.
func syncNames(files Files, from, to string) error {
	if filepath.Ext(from) == partSuffix {
		crashpoint.Here(crashpoint.ReceiveRenamed)
	}
	if mutant.Is(mutant.SkipSnapDirFsync) {
		return nil
	}
	if err := files.SyncDir(filepath.Dir(to)); err != nil {
		return err
	}
	if filepath.Dir(from) == filepath.Dir(to) {
		return nil
	}
	return files.SyncDir(filepath.Dir(from))
}
