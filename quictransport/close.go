package quictransport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/quic-go/quic-go"

	"flotilla/quictransport/framing"
)

// Close says goodbye to the peers, waits a moment for them to take leave, closes what is left with the reason for
// shutdown, joins every goroutine and closes the socket. ctx shortens the courtesy, never the joining. Idempotent.
func (t *Transport) Close(ctx context.Context) error {
	if !t.beginClosing() {
		<-t.done
		return t.closeErr
	}
	courtesy, cancel := context.WithTimeout(ctx, goodbyeTimeout)
	defer cancel()
	for _, s := range t.allStreams() { // first: a peer that hears goodbye closes the connection (P7)
		s.Reset(ReasonShutdown)
	}
	conns := t.allConns()
	for _, c := range conns {
		if c.adopted() {
			_ = c.sendNotice(framing.Notice{Kind: framing.NoticeGoodbye}) // the close frame says it too
		}
	}
	for _, c := range conns {
		if !c.adopted() {
			continue
		}
		select {
		case <-c.ctx.Done():
		case <-courtesy.Done():
		}
	}
	var closing sync.WaitGroup
	for _, c := range conns {
		c.fail(ReasonShutdown, "node is stopping")
		closing.Go(func() { <-c.ctx.Done() })
	}
	for _, qc := range t.allClients() {
		closing.Go(func() { _ = qc.CloseWithError(quic.ApplicationErrorCode(ReasonShutdown), "node is stopping") })
	}
	closing.Wait()
	return t.finish()
}

// Kill stops without any courtesy: peers hear nothing, as after kill -9. It joins every goroutine and closes the socket.
func (t *Transport) Kill() {
	if !t.beginClosing() {
		<-t.done
		return
	}
	_ = t.finish()
}

// beginClosing refuses new connections and dials, and reports whether the caller is the one to close.
func (t *Transport) beginClosing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing {
		return false
	}
	t.closing = true
	for _, p := range t.peers {
		p.stop()
	}
	return true
}

// finish takes everything down and joins it.
func (t *Transport) finish() error {
	t.cancel(errClosing)
	var errs []error
	if err := t.qt.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		errs = append(errs, fmt.Errorf("close QUIC: %w", err))
	}
	t.wg.Wait()
	if err := t.cfg.Conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		errs = append(errs, fmt.Errorf("close socket: %w", err))
	}
	t.closeErr = errors.Join(errs...)
	close(t.done)
	return t.closeErr
}

func (t *Transport) allConns() []*conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*conn
	for _, p := range t.peers {
		all = append(all, p.conns...)
	}
	return all
}

// allClients returns the connections of clients and of joiners.
func (t *Transport) allClients() []*quic.Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*quic.Conn, 0, len(t.clients))
	for qc := range t.clients {
		all = append(all, qc)
	}
	for qc := range t.joiners {
		all = append(all, qc)
	}
	return all
}

// adopted reports whether the connection has been put to use.
func (c *conn) adopted() bool {
	select {
	case <-c.ready:
		return true
	default:
		return false
	}
}
