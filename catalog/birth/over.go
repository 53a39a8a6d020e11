package birth

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// markFile in a data directory says that the cluster knows its node by another directory, which is lost. This one holds
// nothing that the cluster ever knew of, and is to be emptied and to join: the file has the node's own address, then those of the
// other members, a line each.
const markFile = "superseded"

// maxMark bounds the file: an address for each of 64 nodes, several times over.
const maxMark = 64 << 10

// MarkSuperseded leaves the mark in dir, with the other nodes that view knows, durable when it returns.
func MarkSuperseded(dir string, view *catalog.Snapshot) error {
	self, _ := view.Topology.Find(view.Identity.NodeID)
	lines := []string{self.Addr}
	for _, n := range view.Topology.Nodes {
		if n.ID != view.Identity.NodeID && n.State != catalog.NodeRemoved {
			lines = append(lines, n.Addr)
		}
	}
	path := filepath.Join(dir, markFile)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("mark %s superseded: %w", dir, err)
	}
	_, err = f.WriteString(strings.Join(lines, "\n") + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("mark %s superseded: %w", dir, err)
	}
	return nil
}

// StartOver empties a marked directory of what it began with, paths, and returns the node's own address and the members that the
// mark names; nothing when dir is not marked. The mark stays until Unmark, so that a crash in between costs nothing.
func StartOver(dir string, paths ...string) (self string, members []string, err error) {
	path := filepath.Join(dir, markFile)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil, nil
	case err == nil && info.Size() > maxMark:
		err = fmt.Errorf("it has %d bytes", info.Size())
	}
	var mark []byte
	if err == nil {
		mark, err = os.ReadFile(path)
	}
	if err != nil {
		return "", nil, fmt.Errorf("start over in %s: %w", dir, err)
	}
	lines := strings.Fields(string(bytes.ToValidUTF8(mark, nil)))
	if len(lines) < 2 {
		return "", nil, fmt.Errorf("start over in %s: the file %s names nobody to join: correct it, the node's own address and one member at least, a line each", dir, markFile)
	}
	for _, p := range paths {
		if err := os.RemoveAll(p); err != nil {
			return "", nil, fmt.Errorf("start over in %s: %w", dir, err)
		}
	}
	return lines[0], lines[1:], syncDir(dir)
}

// Unmark takes the mark away, if there is one.
func Unmark(dir string) error {
	err := os.Remove(filepath.Join(dir, markFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncDir(dir))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// CreateBase makes the log of a joiner's group 0: it begins after index, an entry of term, with members in effect. Whatever
// logs are there are let go of: the cluster has admitted this directory as a new one, and counts what its node held before as lost.
func CreateBase(store Logs, index wire.Index, term wire.Term, members wire.Membership) error {
	var batch []wire.LogUpdate
	for _, old := range store.Groups() {
		batch = append(batch, wire.LogUpdate{Group: old.Group, Drop: true})
	}
	if len(batch) > 0 {
		if err := store.Commit(batch); err != nil {
			return err
		}
	}
	return store.Commit(beginsAfter(Base{Group: wire.MetadataGroup, Index: index, Term: term}, members))
}
