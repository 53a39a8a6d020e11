package courier

import (
	"io"
	"os"
	"sync"
	"time"

	"flotilla/quictransport"
)

// pipe is a Stream with room for 64 KiB in each direction, as QUIC's have: an answer leaves though the peer is writing, and what was
// written before a close can be read after it.
type pipe struct {
	mu       *sync.Mutex // of both ends
	moved    *sync.Cond
	in, out  *half
	deadline time.Time
	timer    *time.Timer
	// limit, when not 0, is how many bytes may be written before the line is cut.
	limit, written int
	// flip, when not 0, is the byte of which one bit is changed on its way.
	flip int
	// why is what the other end said with Reset; 0 for nothing.
	why *quictransport.Reason
}

type half struct {
	buf  []byte
	done bool  // no more is written
	err  error // neither read nor written any more
}

const pipeRoom = 64 << 10

func newPipe() (a, b *pipe) {
	mu := &sync.Mutex{}
	moved := sync.NewCond(mu)
	one, other := &half{}, &half{}
	why := quictransport.Reason(0)
	return &pipe{mu: mu, moved: moved, in: one, out: other, why: &why}, &pipe{mu: mu, moved: moved, in: other, out: one, why: &why}
}

func (p *pipe) late() bool { return !p.deadline.IsZero() && !time.Now().Before(p.deadline) }

func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.in.buf) == 0 && !p.in.done && p.in.err == nil && !p.late() {
		p.moved.Wait()
	}
	switch {
	case p.in.err != nil:
		return 0, p.in.err
	case p.late():
		return 0, os.ErrDeadlineExceeded
	case len(p.in.buf) == 0:
		return 0, io.EOF
	}
	n := copy(b, p.in.buf)
	p.in.buf = append(p.in.buf[:0], p.in.buf[n:]...)
	p.moved.Broadcast()
	return n, nil
}

func (p *pipe) Write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(b) > 0 {
		switch {
		case p.out.err != nil:
			return n, p.out.err
		case p.out.done:
			return n, io.ErrClosedPipe
		case p.late():
			return n, os.ErrDeadlineExceeded
		}
		k := min(len(b), pipeRoom-len(p.out.buf))
		if p.limit > 0 && p.written+k >= p.limit {
			p.cut(io.ErrUnexpectedEOF)
			continue
		}
		p.out.buf = append(p.out.buf, b[:k]...)
		if at := p.flip - p.written; p.flip > 0 && at >= 0 && at < k {
			p.out.buf[len(p.out.buf)-k+at] ^= 1 << (p.flip % 8)
		}
		b, n, p.written = b[k:], n+k, p.written+k
		p.moved.Broadcast()
		if k == 0 {
			p.moved.Wait()
		}
	}
	return n, nil
}

// cut has the line be gone for both. With the lock held.
func (p *pipe) cut(err error) {
	p.in.err, p.out.err = err, err
	p.moved.Broadcast()
}

func (p *pipe) SetDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
	p.deadline = t
	p.timer = time.AfterFunc(time.Until(t), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.moved.Broadcast()
	})
	p.moved.Broadcast()
	return nil
}

func (p *pipe) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
	p.out.done, p.in.done = true, true
	p.moved.Broadcast()
	return nil
}

// endWriting closes one half only.
func (p *pipe) endWriting() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out.done = true
	p.moved.Broadcast()
}

func (p *pipe) Reset(why quictransport.Reason) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*p.why = why
	p.cut(&quictransport.CloseError{Reason: why})
}
