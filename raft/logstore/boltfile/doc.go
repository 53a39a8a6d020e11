// Package boltfile reads a bbolt file that nobody writes any more, with bounded preads and without mapping it.
//
// A truncated file is an error here, not a SIGBUS, and a flipped bit in a page's header or in a tree's arrow is
// one too, where bbolt, which guards only its meta pages, would follow it out of the map. It knows of bbolt's
// format (version 2) what it needs to visit all values: meta pages, branch and leaf pages, buckets. It does
// not know what the values are: whoever uses it has checksums of its own.
//
//	f, err := boltfile.Open(file, path)
//	root, ok, err := f.Bucket([]byte("j"))
//	w := boltfile.Walker{Use: func(key, value []byte, at boltfile.Place) error { ... }, Bad: ...}
//	err = w.Walk(root)
package boltfile
