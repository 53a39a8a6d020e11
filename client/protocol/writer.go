package protocol

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"
)

// What a Writer returns to those who add frames.
var (
	// ErrBacklog says that too many bytes wait to be written: the other side does not read. Nothing was added.
	ErrBacklog = errors.New("too many bytes wait to be written")
	// ErrWriterClosed says that the Writer has ended. Nothing was added.
	ErrWriterClosed = errors.New("writer closed")
)

// Stream is the sending side that a Writer owns; *quic.Stream is one.
type Stream interface {
	io.Writer
	SetWriteDeadline(t time.Time) error
}

// Writer gathers frames from many goroutines and writes all that is pending with one Write, unless that is very much. Adding never
// blocks. Run, called by one goroutine, does the writing.
type Writer struct {
	limit   int
	timeout time.Duration
	// wake holds a token while there may be something to do.
	wake chan struct{}
	mu   struct {
		sync.Mutex
		pending []byte
		spare   []byte
		// writing is the size of the batch that is being written, which is held until all of it is.
		writing int
		closed  bool
		// moved is closed when bytes have been written, or none will be any more; nil while nobody waits for that.
		moved chan struct{}
	}
}

// NewWriter returns a Writer that takes frames until limitBytes wait, and ends when not even a writeStep could be written in the timeout.
func NewWriter(limitBytes int, timeout time.Duration) *Writer {
	return &Writer{limit: limitBytes, timeout: timeout, wake: make(chan struct{}, 1)}
}

// Request adds a frame with q. The slices of q are not kept.
func (w *Writer) Request(q *Request) error {
	w.mu.Lock()
	if err := w.admit(); err != nil {
		w.mu.Unlock()
		return err
	}
	from := len(w.mu.pending)
	w.mu.pending = closeFrame(AppendRequest(append(w.mu.pending, 0, 0, 0, 0), q), from)
	w.mu.Unlock()
	w.signal()
	return nil
}

// Reply adds a frame with p. The slices of p are not kept.
func (w *Writer) Reply(p *Reply) error {
	w.mu.Lock()
	if err := w.admit(); err != nil {
		w.mu.Unlock()
		return err
	}
	from := len(w.mu.pending)
	w.mu.pending = closeFrame(AppendReply(append(w.mu.pending, 0, 0, 0, 0), p), from)
	w.mu.Unlock()
	w.signal()
	return nil
}

// Backlog returns the number of bytes not yet taken over by the stream.
func (w *Writer) Backlog() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.mu.pending) + w.mu.writing
}

// Below waits until less than bytes are not yet taken over by the stream: for who has much to say and does not want to hold it in
// memory. Errors: ErrWriterClosed, or why ctx ended.
func (w *Writer) Below(ctx context.Context, bytes int) error {
	for {
		w.mu.Lock()
		if w.mu.closed {
			w.mu.Unlock()
			return ErrWriterClosed
		}
		if len(w.mu.pending)+w.mu.writing < bytes {
			w.mu.Unlock()
			return nil
		}
		if w.mu.moved == nil {
			w.mu.moved = make(chan struct{})
		}
		moved := w.mu.moved
		w.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tell lets those look again who wait in Below; w.mu is held.
func (w *Writer) tell() {
	if w.mu.moved != nil {
		close(w.mu.moved)
		w.mu.moved = nil
	}
}

func (w *Writer) admit() error {
	switch {
	case w.mu.closed:
		return ErrWriterClosed
	case len(w.mu.pending)+w.mu.writing >= w.limit:
		return ErrBacklog
	}
	return nil
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run writes to s what is added, until Close or the first error of s, which it returns. After it nothing can be added.
func (w *Writer) Run(s Stream) error {
	for range w.wake {
		batch, closed := w.take()
		for piece := range slices.Chunk(batch, writeStep) {
			err := s.SetWriteDeadline(time.Now().Add(w.timeout))
			if err == nil {
				_, err = s.Write(piece)
			}
			if err != nil {
				w.Close()
				return err
			}
		}
		w.giveBack(batch)
		if closed {
			return nil
		}
	}
	return nil
}

// take returns everything pending, and whether the Writer is closed and nothing can follow.
func (w *Writer) take() (batch []byte, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch = w.mu.pending
	w.mu.pending, w.mu.spare = w.mu.spare[:0], nil
	w.mu.writing = len(batch)
	return batch, w.mu.closed
}

// giveBack lets the next batch have the room of this one.
func (w *Writer) giveBack(batch []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.writing = 0
	w.tell()
	if cap(batch) <= spareBytes {
		w.mu.spare = batch[:0]
	}
}

// Close lets Run write what has been added and end. It is idempotent.
func (w *Writer) Close() {
	w.mu.Lock()
	w.mu.closed = true
	w.tell()
	w.mu.Unlock()
	w.signal()
}
