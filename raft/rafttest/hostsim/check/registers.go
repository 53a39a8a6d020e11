package check

import (
	"fmt"
	"sort"

	"flotilla/kv"
)

// Registers: operations on a key are linearizable. The revisions that a group's machine gives are the order of its
// writes, so each key is a register whose versions are known, and it is enough to hold every answer against what
// had been answered before the question: writes and reads must not go back behind it. One for each group.
type Registers struct {
	keys map[string]*register
}

// register is one key.
type register struct {
	versions []version
	// floor is the latest version that somebody has been told of.
	floor kv.Revision
}

// version is what a key is from a revision on. A key begins absent at revision 0.
type version struct {
	revision kv.Revision
	value    uint64 // a Sum, 0 when absent
	absent   bool
}

func (c *Registers) key(key []byte) *register {
	r := c.keys[string(key)]
	if r == nil {
		if c.keys == nil {
			c.keys = map[string]*register{}
		}
		r = &register{versions: []version{{absent: true}}}
		c.keys[string(key)] = r
	}
	return r
}

// Begin is told what a key is at the group's beginning, which is the first that anybody may see.
func (c *Registers) Begin(key, value []byte, at kv.Revision) {
	*c.key(key) = register{versions: []version{{revision: at, value: Sum(value)}}, floor: at}
}

// Put and Removed are told of writes in log order, when they take effect.
func (c *Registers) Put(key, value []byte, at kv.Revision) {
	r := c.key(key)
	r.versions = append(r.versions, version{revision: at, value: Sum(value)})
}

// Removed is told of a delete.
func (c *Registers) Removed(key []byte, at kv.Revision) {
	r := c.key(key)
	r.versions = append(r.versions, version{revision: at, absent: true})
}

// Asked returns the latest version of key that anybody has been told of: an operation that begins now must not be
// answered from before it.
func (c *Registers) Asked(key []byte) kv.Revision { return c.key(key).floor }

// Wrote is told of the answer to a write that began at floor and took effect at revision.
func (c *Registers) Wrote(key []byte, floor, revision kv.Revision) error {
	r := c.key(key)
	if i := r.find(revision); i < 0 {
		return fmt.Errorf("a write of %q is answered with revision %d, at which nobody wrote it", key, revision)
	}
	if revision <= floor {
		return fmt.Errorf("a write of %q at revision %d began after revision %d was known", key, revision, floor)
	}
	r.floor = max(r.floor, revision)
	return nil
}

// Found is told of the answer to a linearizable read, or of the revision in a conflict: value is nil then.
func (c *Registers) Found(key []byte, floor, revision kv.Revision, value []byte) error {
	r := c.key(key)
	i := r.find(revision)
	switch {
	case i < 0 || r.versions[i].absent || value != nil && r.versions[i].value != Sum(value):
		return fmt.Errorf("a read of %q finds revision %d with a value that was never written there", key, revision)
	case revision < floor:
		return fmt.Errorf("a stale read: %q was found at revision %d after revision %d was known", key, revision, floor)
	}
	r.floor = max(r.floor, revision)
	return nil
}

// Missed is told that a key was found absent.
func (c *Registers) Missed(key []byte, floor kv.Revision) error {
	r := c.key(key)
	for i := r.since(floor); i < len(r.versions); i++ {
		if v := r.versions[i]; v.absent {
			r.floor = max(r.floor, v.revision)
			return nil
		}
	}
	return fmt.Errorf("a stale read: %q was not found, and has always been there since revision %d, which was known", key, floor)
}

// Stale is told of the answer to a read that may be old: it must have been true once.
func (c *Registers) Stale(key []byte, revision kv.Revision, value []byte) error {
	r := c.key(key)
	if i := r.find(revision); i < 0 || r.versions[i].absent || r.versions[i].value != Sum(value) {
		return fmt.Errorf("a stale read of %q finds revision %d with a value that was never written there", key, revision)
	}
	return nil
}

// since returns the place of the first version at or after revision.
func (r *register) since(revision kv.Revision) int {
	return sort.Search(len(r.versions), func(i int) bool { return r.versions[i].revision >= revision })
}

// find returns the place of the version at revision, -1 when there is none.
func (r *register) find(revision kv.Revision) int {
	if i := r.since(revision); i < len(r.versions) && r.versions[i].revision == revision && revision > 0 {
		return i
	}
	return -1
}
