package snapshottest

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"syscall"

	"flotilla/snapshotstream"
)

// ErrCut is what everything on a disk without power fails with.
var ErrCut = errors.New("power is cut")

const sector = 512

// Disk is a file system in memory. It may be used from several goroutines.
type Disk struct {
	mu    sync.Mutex
	root  *node
	left  int // changes until the power is cut; below 0 never
	cut   bool
	steps []string
	room  int64 // bytes that fit in all
}

// node is a file or a directory, as it is and as a power cut would find it at worst.
type node struct {
	dir           bool
	data, durable []byte
	names, synced map[string]*node
	failSync      error
}

func newDir() *node { return &node{dir: true, names: map[string]*node{}, synced: map[string]*node{}} }

// NewDisk returns an empty one whose root is "/".
func NewDisk() *Disk { return &Disk{root: newDir(), left: -1, room: 1 << 40} }

// CutAfter cuts the power in front of the change after the next n.
func (d *Disk) CutAfter(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = n
}

// Steps returns what has changed the disk so far, and the change that the cut has kept from happening, in order.
func (d *Disk) Steps() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.steps)
}

// Cut reports whether the power is cut.
func (d *Disk) Cut() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cut
}

// Limit has the disk run full at n bytes.
func (d *Disk) Limit(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = n
}

// Free is for a snapshotstream.Config.
func (d *Disk) Free(string) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return max(d.room-used(d.root), 0), nil
}

func used(n *node) int64 {
	sum := int64(len(n.data))
	for _, below := range n.names {
		sum += used(below)
	}
	return sum
}

// FailSync has the next Sync of a file fail.
func (d *Disk) FailSync(file string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n, _, e := d.find(file); e == nil {
		n.failSync = err
	}
}

// Flip flips a bit of a file, on the disk and for readers.
func (d *Disk) Flip(file string, bit int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, _, err := d.find(file)
	if err != nil {
		return err
	}
	n.data = slices.Clone(n.data)
	n.data[bit/8] ^= 1 << (bit % 8)
	if bit/8 < len(n.durable) {
		n.durable[bit/8] ^= 1 << (bit % 8)
	}
	return nil
}

// Truncate cuts a file, on the disk and for readers.
func (d *Disk) Truncate(file string, size int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, _, err := d.find(file)
	if err != nil {
		return err
	}
	n.data = slices.Clone(n.data[:size])
	n.durable = n.durable[:min(size, len(n.durable))]
	return nil
}

// Paths returns all files, sorted.
func (d *Disk) Paths() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []string
	var walk func(at string, n *node)
	walk = func(at string, n *node) {
		if !n.dir {
			list = append(list, at)
		}
		for name, below := range n.names {
			walk(path.Join(at, name), below)
		}
	}
	walk("/", d.root)
	slices.Sort(list)
	return list
}

// Size is that of a file, -1 if there is none.
func (d *Disk) Size(file string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, _, err := d.find(file)
	if err != nil {
		return -1
	}
	return len(n.data)
}

// Survival decides what of the changes that were not synced a restart finds: it is asked for each of them.
type Survival func() bool

// All is what a killed process leaves: everything.
func All() bool { return true }

// None is the worst that a power cut leaves: what was synced.
func None() bool { return false }

// Torn leaves what rng says.
func Torn(rng *rand.Rand) Survival { return func() bool { return rng.IntN(2) == 0 } }

// Restart returns the disk as it is found after a cut, or a kill, at this moment.
func (d *Disk) Restart(survives Survival) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = true
	return &Disk{root: (&fate{survives, map[*node]*node{}, map[*node]bool{}}).of(d.root), left: -1, room: d.room}
}

// Kill returns the disk as the next process finds it: everything is there, and what was not synced can still be lost.
func (d *Disk) Kill() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = true
	return &Disk{root: d.root.copy(map[*node]*node{}), left: -1, room: d.room}
}

// copy copies n and what is below it; made has what was copied.
func (n *node) copy(made map[*node]*node) *node {
	if n == nil || made[n] != nil {
		return made[n]
	}
	c := &node{dir: n.dir, data: slices.Clone(n.data), durable: slices.Clone(n.durable)}
	made[n] = c
	if n.dir {
		c.names, c.synced = map[string]*node{}, map[string]*node{}
	}
	for name, below := range n.names {
		c.names[name] = below.copy(made)
	}
	for name, below := range n.synced {
		c.synced[name] = below.copy(made)
	}
	return c
}

// fate decides, once for each node: a rename happens under both names or under none, as journals have it.
type fate struct {
	survives Survival
	made     map[*node]*node
	moved    map[*node]bool
}

func (f *fate) of(n *node) *node {
	if found, ok := f.made[n]; ok {
		return found // a file that was moved may be under both names
	}
	left := &node{dir: n.dir}
	f.made[n] = left
	if !n.dir {
		left.data = survivingBytes(n, f.survives)
		left.durable = slices.Clone(left.data)
		return left
	}
	left.names, left.synced = map[string]*node{}, map[string]*node{}
	for _, name := range allNames(n) {
		then, now := n.synced[name], n.names[name]
		if then != now && f.happened(cmp.Or(now, then)) {
			then = now
		}
		if then != nil {
			left.names[name] = f.of(then)
			left.synced[name] = left.names[name]
		}
	}
	return left
}

func (f *fate) happened(n *node) bool {
	if _, ok := f.moved[n]; !ok {
		f.moved[n] = f.survives()
	}
	return f.moved[n]
}

// allNames returns those before and those now, sorted, so that a seed says it all.
func allNames(n *node) []string {
	var list []string
	for name := range n.names {
		list = append(list, name)
	}
	for name := range n.synced {
		if n.names[name] == nil {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

func survivingBytes(n *node, survives Survival) []byte {
	if len(n.data) > 8*sector && survives() {
		return slices.Clone(n.data) // the cache was written back by itself
	}
	b := slices.Clone(n.durable)
	for at := 0; at < len(n.data); at += sector {
		end := min(at+sector, len(n.data))
		if end <= len(n.durable) && string(n.data[at:end]) == string(n.durable[at:end]) || !survives() {
			continue
		}
		if len(b) < end {
			b = append(b, make([]byte, end-len(b))...)
		}
		copy(b[at:end], n.data[at:end])
	}
	return b
}

// step notes a change that is about to happen, or cuts the power. With the lock held.
func (d *Disk) step(what, name string) error {
	if !d.cut {
		d.steps = append(d.steps, what+" "+name)
		d.cut = d.left == 0
	}
	if d.cut {
		return ErrCut
	}
	d.left = max(d.left-1, -1)
	return nil
}

// find returns the node at a path and the directory that it is in.
func (d *Disk) find(at string) (n, parent *node, err error) {
	if d.cut {
		return nil, nil, ErrCut
	}
	n = d.root
	for rest := path.Clean("/" + at)[1:]; rest != ""; {
		var name string
		name, rest = cutName(rest)
		parent, n = n, n.names[name]
		if n == nil && rest == "" {
			return nil, parent, notFound(at)
		}
		if n == nil {
			return nil, nil, notFound(at)
		}
	}
	return n, parent, nil
}

func notFound(at string) error { return fmt.Errorf("%s: %w", at, fs.ErrNotExist) }

func cutName(p string) (name, rest string) {
	for i := range len(p) {
		if p[i] == '/' {
			return p[:i], p[i+1:]
		}
	}
	return p, ""
}

// Create makes a file.
func (d *Disk) Create(at string) (snapshotstream.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, parent, err := d.find(at)
	switch {
	case err == nil:
		return nil, fmt.Errorf("%s: %w", at, fs.ErrExist)
	case parent == nil:
		return nil, err
	}
	if err := d.step("create", at); err != nil {
		return nil, err
	}
	n := &node{}
	parent.names[path.Base(at)] = n
	return &file{disk: d, node: n, path: at}, nil
}

// Open opens a file.
func (d *Disk) Open(at string) (snapshotstream.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, _, err := d.find(at)
	if err != nil {
		return nil, err
	}
	return &file{disk: d, node: n, path: at}, nil
}

// Rename moves a file, over one that may be there.
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, source, err := d.find(from)
	if err != nil {
		return err
	}
	_, target, err := d.find(to)
	if target == nil {
		return err
	}
	if err := d.step("rename", to); err != nil {
		return err
	}
	delete(source.names, path.Base(from))
	target.names[path.Base(to)] = n
	return nil
}

// Remove removes a file or an empty directory.
func (d *Disk) Remove(at string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, parent, err := d.find(at)
	if err != nil {
		return err
	}
	if len(n.names) > 0 {
		return fmt.Errorf("%s: %w", at, syscall.ENOTEMPTY)
	}
	if err := d.step("remove", at); err != nil {
		return err
	}
	delete(parent.names, path.Base(at))
	return nil
}

// Mkdir makes a directory; one that is there is no error.
func (d *Disk) Mkdir(at string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, parent, err := d.find(at)
	if err == nil || parent == nil {
		return err
	}
	if err := d.step("mkdir", at); err != nil {
		return err
	}
	parent.names[path.Base(at)] = newDir()
	return nil
}

// SyncDir makes the names in a directory durable.
func (d *Disk) SyncDir(at string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, _, err := d.find(at)
	if err != nil {
		return err
	}
	if err := d.step("syncdir", at); err != nil {
		return err
	}
	clear(n.synced)
	maps.Copy(n.synced, n.names)
	return nil
}

// List returns the names in a directory.
func (d *Disk) List(at string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, _, err := d.find(at)
	if err != nil {
		return nil, err
	}
	var list []string
	for name := range n.names {
		list = append(list, name)
	}
	slices.Sort(list)
	return list, nil
}

// file is an open one. It stays what it is when its name goes.
type file struct {
	disk   *Disk
	node   *node
	path   string
	closed bool
}

func (f *file) check() error {
	switch {
	case f.disk.cut:
		return ErrCut
	case f.closed:
		return fs.ErrClosed
	}
	return nil
}

func (f *file) ReadAt(p []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.check(); err != nil {
		return 0, err
	}
	if at >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(p []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.check(); err != nil {
		return 0, err
	}
	if err := f.disk.step("write", f.path); err != nil {
		return 0, err
	}
	end := at + int64(len(p))
	if grows := end - int64(len(f.node.data)); grows > f.disk.room-used(f.disk.root) && grows > 0 {
		return 0, &fs.PathError{Op: "write", Path: f.path, Err: syscall.ENOSPC}
	}
	if int64(len(f.node.data)) < end {
		f.node.data = append(f.node.data, make([]byte, end-int64(len(f.node.data)))...)
	}
	copy(f.node.data[at:end], p)
	return len(p), nil
}

func (f *file) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.check(); err != nil {
		return err
	}
	if err := f.disk.step("sync", f.path); err != nil {
		return err
	}
	if err := f.node.failSync; err != nil {
		f.node.failSync = nil
		return err
	}
	f.node.durable = slices.Clone(f.node.data)
	return nil
}

func (f *file) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.node.data)), f.check()
}

func (f *file) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	return nil
}
