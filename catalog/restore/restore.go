package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"flotilla/catalog"
	"flotilla/catalog/birth"
	"flotilla/epoch"
	"flotilla/internal/diskspace"
	"flotilla/raft/logstore"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
	"flotilla/snapshotstream/archive"
)

// Restored is what a data directory was made of.
type Restored struct {
	Identity catalog.Identity
	// Epoch is what the cluster begins above.
	Epoch epoch.Epoch
	// From is what was saved; its checksum tells which archive it was.
	From archive.Manifest
	Sum  [32]byte
	// Nodes is the number of nodes, Groups that of groups, Here that of those with a replica on this node.
	Nodes, Groups, Here int
	// Bytes of the archive were read.
	Bytes uint64
}

// Run makes the data directory. Errors: *birth.ConfigError, *NotEmptyError, ErrInUse, *pki.Error; of the archive snapshotstream.ErrCorrupt and
// *snapshotstream.VersionError; wire.ErrNoSpace; the file system's; why ctx ended. After an error nothing is there but
// what a crash may have left of Run itself, which the next Run removes.
func Run(ctx context.Context, cfg Config) (Restored, error) {
	if err := cfg.Validate(); err != nil {
		return Restored{}, err
	}
	r, err := run(ctx, &cfg)
	var low *diskspace.LowError
	if errors.As(err, &low) {
		err = fmt.Errorf("%w: %w", wire.ErrNoSpace, err)
	}
	if err != nil {
		return Restored{}, fmt.Errorf("restore %s to %s: %w", cfg.Archive, cfg.Dir, err)
	}
	return r, nil
}

func run(ctx context.Context, cfg *Config) (Restored, error) {
	f, err := os.Open(cfg.Archive)
	if err != nil {
		return Restored{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Restored{}, err
	}
	src, err := archive.NewReader(&followed{ctx: ctx, r: f, total: info.Size(), tell: cfg.Progress})
	if err != nil {
		return Restored{}, err
	}
	name := cmp.Or(cfg.Cluster, src.Manifest().Cluster)
	credentials, err := cfg.credentials(name)
	if err != nil {
		return Restored{}, err
	}
	m := &maker{cfg: cfg, src: src, last: max(src.Manifest().Epoch, src.Catalog().Epoch, epoch.Epoch(src.Meta().Epoch))}
	m.plan = birth.Refounding{Plan: birth.Plan{Name: name, Nodes: cfg.Nodes, Authority: birth.AuthorityOf(credentials)}, Old: src.Catalog()}
	if m.plan.Epoch, err = cfg.above(m.last); err != nil {
		return Restored{}, err
	}
	dir, err := occupy(cfg.Dir)
	if err != nil {
		return Restored{}, err
	}
	r, err := m.make(dir.building)
	if err == nil {
		err = dir.publish()
	}
	return r, errors.Join(err, dir.leave())
}

// followed is a reader that tells how far it is and ends with ctx.
type followed struct {
	ctx         context.Context
	r           io.Reader
	done, total int64
	tell        func(done, total int64)
}

// Read implements io.Reader.
func (f *followed) Read(p []byte) (int, error) {
	if f.ctx.Err() != nil {
		return 0, context.Cause(f.ctx)
	}
	n, err := f.r.Read(p)
	f.done += int64(n)
	if f.tell != nil {
		f.tell(f.done, f.total)
	}
	return n, err
}

// maker makes a data directory's contents.
type maker struct {
	cfg   *Config
	src   *archive.Reader
	plan  birth.Refounding
	last  epoch.Epoch // the highest of the archive
	bases []birth.Base
}

// make writes everything into dir, which is empty.
func (m *maker) make(dir string) (Restored, error) {
	groups := m.plan.Groups()
	if err := m.states(dir, groups); err != nil {
		return Restored{}, err
	}
	m.plan.Archive = m.src.Sum()
	store, err := logstore.Open(logstore.Options{Dir: filepath.Join(dir, "log"), FreeBytes: m.cfg.Free})
	if err != nil {
		return Restored{}, err
	}
	if err := errors.Join(birth.CreateBases(store, groups, m.bases), store.Close()); err != nil {
		return Restored{}, err
	}
	id, state := m.plan.Of(m.cfg.NodeID)
	c, err := catalog.Open(filepath.Join(dir, catalogName), catalog.Options{FreeBytes: m.cfg.Free})
	if err != nil {
		return Restored{}, err
	}
	if err := errors.Join(c.Refound(id, &state), c.Close()); err != nil {
		return Restored{}, err
	}
	r := Restored{
		Identity: id, Epoch: m.plan.Epoch, From: m.src.Manifest(), Sum: m.src.Sum(), Bytes: m.src.Bytes(),
		Nodes: len(m.cfg.Nodes), Here: len(m.bases),
	}
	for range state.Live() {
		r.Groups++
	}
	return r, nil
}

// states reads the archive to its end and writes the snapshots of this node's groups. Group 0's state is the catalog; it needs none.
func (m *maker) states(dir string, groups []catalog.Group) error {
	store, err := snapshotstream.Open(snapshotstream.Config{Dir: dir, Free: m.cfg.Free})
	if err != nil {
		return err
	}
	origins := map[wire.GroupID]wire.Membership{}
	for i := range groups {
		origins[groups[i].ID] = groups[i].Origin
	}
	meta := m.src.Meta()
	m.bases = []birth.Base{{Group: wire.MetadataGroup, Index: meta.Index, Term: meta.Term}}
	for {
		g, err := m.src.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := m.cfg.above(max(m.last, epoch.Epoch(g.Epoch))); err != nil {
			return err
		}
		origin := origins[g.Group]
		if !origin.Contains(m.cfg.NodeID) {
			continue
		}
		if err := m.state(store, g, origin); err != nil {
			return fmt.Errorf("group %d: %w", g.Group, err)
		}
		m.bases = append(m.bases, birth.Base{Group: g.Group, Index: g.Index, Term: g.Term})
	}
}

// state writes one group's snapshot, of its new members.
func (m *maker) state(store *snapshotstream.Store, g *archive.Group, origin wire.Membership) error {
	w, err := store.Create(snapshotstream.State{
		Group: g.Group, Index: g.Index, Term: g.Term, Membership: origin, Epoch: snapshotstream.Epoch(m.plan.Epoch),
	})
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, g); err != nil {
		return errors.Join(err, w.Abort())
	}
	_, err = w.Commit()
	return err
}
