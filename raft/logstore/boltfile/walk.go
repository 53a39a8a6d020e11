package boltfile

import (
	"errors"
)

// Place says where in the file a value is.
type Place struct {
	Off, N int64
}

// Walker visits all keys of a tree in order.
type Walker struct {
	// Own is the key of a blob that stands in a bucket of its own; such a bucket is visited as its blob.
	Own []byte
	// buf holds the leaf being visited, inner the page of a blob that has one of its own.
	buf, inner []byte
	// Use gets each key, its value, valid during the call, and the value's place. Its error ends the walk.
	Use func(key, value []byte, at Place) error
	// Note, instead of Use, gets the places only, and the values are not read.
	Note func(key []byte, at Place)
	// Bad gets each damage; what hangs below it is left out. Its error ends the walk.
	Bad func(*Damage) error

	seen map[uint64]struct{}
}

// Walk visits the tree under root. Its error is one of the disk, or of Use or Bad.
func (w *Walker) Walk(root Page) error {
	w.seen = map[uint64]struct{}{}
	return w.walk(root, 0)
}

func (w *Walker) walk(pg Page, depth int) error {
	if !pg.inline {
		if _, again := w.seen[pg.id]; again || depth > maxDepth {
			return w.Bad(pg.p.corrupt(pageKey(pg.id), "page is reached twice"))
		}
		w.seen[pg.id] = struct{}{}
	}
	if !pg.branch {
		return w.leaf(pg)
	}
	for i := range pg.count {
		e, err := pg.element(i)
		if err == nil {
			var child Page
			if child, err = pg.p.page(e.child, nil); err == nil {
				if err := w.walk(child, depth+1); err != nil {
					return err
				}
				continue
			}
		}
		if err := w.report(err); err != nil {
			return err
		}
	}
	return nil
}

func (w *Walker) leaf(pg Page) error {
	if w.Use != nil {
		var err error
		if w.buf, err = pg.fill(w.buf); err != nil {
			return err
		}
	}
	for i := range pg.count {
		if err := w.report(w.visit(pg, i)); err != nil {
			return err
		}
	}
	return nil
}

// visit hands on element i of a leaf.
func (w *Walker) visit(pg Page, i int) error {
	e, err := pg.element(i)
	if err != nil {
		return err
	}
	leaf, blob, err := pg.blob(e, w.Own)
	if err != nil {
		return err
	}
	at := Place{leaf.start + blob.off, blob.n}
	if w.Use == nil {
		w.Note(e.key, at)
		return nil
	}
	if e.bucket {
		if w.inner, err = leaf.fill(w.inner); err != nil {
			return err
		}
	}
	value, err := leaf.bytes(blob.off, blob.n)
	if err != nil {
		return err
	}
	return w.Use(e.key, value, at)
}

// report hands damage to Bad and returns every other error.
func (w *Walker) report(err error) error {
	if err == nil {
		return nil
	}
	var c *Damage
	if errors.As(err, &c) {
		return w.Bad(c)
	}
	return err
}
