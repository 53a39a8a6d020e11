package client

import (
	"bytes"
	"context"
	"io"

	"flotilla/raft/wire"
	"flotilla/snapshotstream"
	"flotilla/snapshotstream/archive"
)

// Saving says how far a Save has come.
type Saving struct {
	// Header is that of the snapshot on its way, Nth of Of groups; while it is waited for, as a node writes it, nothing of it but the
	// group is known. Of is 1 until group 0's state is known.
	Header  snapshotstream.Header
	Nth, Of int
	// Done bytes are through, of about Total.
	Done, Total int64
	// Saved says that the whole of the snapshot is in the file.
	Saved bool
}

// Save fetches the states of all groups into f, one after the other, and commits it. Each has everything that was acknowledged to anybody
// before the call. tell, when not nil, is called as bytes come, by the calling goroutine. After an error f is the caller's to abort;
// errors are those of Export for the network and of f for the file.
func (c *Client) Save(ctx context.Context, f *archive.File, tell func(Saving)) ([]snapshotstream.Header, error) {
	s := &saving{file: f, tell: tell, all: 1}
	for g, more := f.Next(); more; g, more = f.Next() {
		now := s.next()
		now.Header.Group = g
		s.say(now)
		if err := c.Export(ctx, g, s.take); err != nil {
			return nil, err
		}
	}
	return s.groups, f.Commit()
}

// saving is a Save under way.
type saving struct {
	file   *archive.File
	tell   func(Saving)
	groups []snapshotstream.Header // that are in the file
	all    int
	done   int64
}

// take puts the next group's snapshot into the file as it comes. What breaks off is taken back.
func (s *saving) take(r io.Reader) error {
	var lead bytes.Buffer
	d, err := snapshotstream.NewDecoder(io.TeeReader(r, &lead)) // to know how long it is
	if err != nil {
		return err
	}
	now := s.next()
	now.Header = d.Header()
	size := now.Header.FileSize()
	now.Total = (s.done + size) * int64(now.Of) / int64(now.Nth) // the others are about as long
	h, err := s.file.Add(&watched{r: io.MultiReader(&lead, r), moved: func(n int) {
		now.Done += int64(n)
		s.say(now)
	}})
	if err != nil {
		return err
	}
	s.groups, s.done = append(s.groups, h), s.done+size
	if h.Group == wire.MetadataGroup {
		for range s.file.Catalog().Live() {
			s.all++
		}
		s.all-- // it is one of them
	}
	now.Done, now.Of, now.Saved = s.done, s.all, true
	s.say(now)
	return nil
}

func (s *saving) next() Saving { return Saving{Nth: len(s.groups) + 1, Of: s.all, Done: s.done} }

func (s *saving) say(now Saving) {
	if s.tell != nil {
		s.tell(now)
	}
}

// watched tells how much was read of r.
type watched struct {
	r     io.Reader
	moved func(n int)
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.moved(n)
	return n, err
}
