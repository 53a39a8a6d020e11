package snapshotstream

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"flotilla/raft/wire"
)

// The data directory's part that is ours:
//
//	snap/GROUP/INDEX-TERM.snap      whole snapshots; zeros in front make names sort as numbers do
//	snap/GROUP/INDEX-TERM.snap.tmp  one being made
//	snap/GROUP/INDEX-TERM.naming.snap.tmp  says that a name is being given, which may not be durable
//	snap/GROUP/INDEX-TERM.snap.bad  one that was found damaged, the latest of the group
//	recv/GROUP-ID.part              one being received: its bytes are where the finished file has them
//	recv/GROUP-ID.mark              how far it is durable
//	recv/NUMBER.import              one of a group that has no id yet
const (
	snapDir    = "snap"
	recvDir    = "recv"
	snapSuffix = ".snap"
	tmpSuffix  = ".snap.tmp"
	badSuffix  = ".snap.bad"
	partSuffix = ".part"
	markSuffix = ".mark"

	importSuffix = ".import"
	namingSuffix = ".naming" + tmpSuffix
)

// layout makes paths.
type layout struct{ dir string }

func (l layout) snaps() string               { return filepath.Join(l.dir, snapDir) }
func (l layout) received() string            { return filepath.Join(l.dir, recvDir) }
func (l layout) group(g wire.GroupID) string { return filepath.Join(l.dir, snapDir, g.String()) }

func (l layout) file(h *Header, as string) string { return filepath.Join(l.group(h.Group), stem(h)+as) }

func (l layout) staged(h *Header, as string) string {
	return filepath.Join(l.dir, recvDir, h.Group.String()+"-"+h.ID.String()+as)
}

func stem(h *Header) string { return fmt.Sprintf("%020d-%020d", uint64(h.Index), uint64(h.Term)) }

// groupNumber reads the name of a group's directory.
func groupNumber(name string) (wire.GroupID, bool) {
	n, err := strconv.ParseUint(name, 10, 63)
	g := wire.GroupID(n)
	return g, err == nil && g.String() == name
}

// stagedName reads a name in recv/.
func stagedName(name string) (g wire.GroupID, id ID, ok bool) {
	number, digits, ok := strings.Cut(name, "-")
	if !ok {
		return 0, id, false
	}
	g, ok = groupNumber(number)
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != len(id) || ID(raw).String() != digits {
		return 0, id, false
	}
	return g, ID(raw), true
}
