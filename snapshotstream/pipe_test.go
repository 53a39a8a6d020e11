package snapshotstream_test

import (
	"io"
	"sync"
)

// pipe is a connection with room for 64 KiB in each direction, as QUIC streams have: an answer leaves though the peer is
// writing, and what was written before a close can be read after it.
type pipe struct{ in, out *half }

type half struct {
	mu     sync.Mutex
	moved  *sync.Cond
	buf    []byte
	closed bool
}

const pipeRoom = 64 << 10

func newPipe() (a, b *pipe) {
	one, other := &half{}, &half{}
	one.moved, other.moved = sync.NewCond(&one.mu), sync.NewCond(&other.mu)
	return &pipe{in: one, out: other}, &pipe{in: other, out: one}
}

func (p *pipe) Read(b []byte) (int, error) {
	h := p.in
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.buf) == 0 && !h.closed {
		h.moved.Wait()
	}
	if len(h.buf) == 0 {
		return 0, io.EOF
	}
	n := copy(b, h.buf)
	h.buf = append(h.buf[:0], h.buf[n:]...)
	h.moved.Broadcast()
	return n, nil
}

func (p *pipe) Write(b []byte) (int, error) {
	h := p.out
	h.mu.Lock()
	defer h.mu.Unlock()
	written := 0
	for {
		if h.closed {
			return written, io.ErrClosedPipe
		}
		n := min(len(b), pipeRoom-len(h.buf))
		h.buf, b, written = append(h.buf, b[:n]...), b[n:], written+n
		h.moved.Broadcast()
		if len(b) == 0 {
			return written, nil
		}
		h.moved.Wait()
	}
}

func (p *pipe) Close() error {
	for _, h := range []*half{p.in, p.out} {
		h.mu.Lock()
		h.closed = true
		h.moved.Broadcast()
		h.mu.Unlock()
	}
	return nil
}
