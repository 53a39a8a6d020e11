// Package archive is a whole cluster in one file: who it was, and one snapshot of each of its groups. It hides the framing around
// the snapshots and how a file comes to its name; states are bytes, as in snapshotstream, but for group 0's, whose catalog says
// which groups there are.
//
// What it guarantees: memory for one chunk and one catalog, whatever is in it; every changed, missing or added bit is found, with
// *snapshotstream.CorruptError, at the latest when Next returns anything but a group; and a file under its name is whole and durable.
// What it does not: groups are saved one after the other, so each is consistent by itself, at the index that its header says.
//
//	f, err := archive.Create(path, archive.Manifest{...}, archive.Fresh)
//	for id, more := f.Next(); more && err == nil; id, more = f.Next() {
//		_, err = f.Add(streamOf(id)) // a snapshot as snapshotstream writes it
//	}
//	err = f.Commit() // or Abort
//
//	r, err := archive.NewReader(file)
//	for g, err := r.Next(); err == nil; g, err = r.Next() { // the data groups; io.EOF once all of it was checked
//		_, err := io.Copy(machine, g)
//	}
package archive
