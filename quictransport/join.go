package quictransport

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/quic-go/quic-go"

	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// Joiner is who asks to be taken into the cluster.
type Joiner struct {
	// Name is what its certificate says, the zero Name when it showed none.
	Name pki.Name
	Addr net.Addr
}

// stranger reports whether it showed no certificate.
func (j Joiner) stranger() bool { return j.Name == (pki.Name{}) }

// The first byte of a reply to a joiner.
const (
	joinAnswer  = 0 // what the handler returned follows
	joinRefusal = 1 // a wire.Error follows
)

// admitJoiner serves one request of a joiner, unless too many are served.
func (t *Transport) admitJoiner(qc *quic.Conn, state tls.ConnectionState) error {
	from := Joiner{Addr: qc.RemoteAddr()}
	if len(state.PeerCertificates) > 0 {
		name, err := pki.PeerName(state)
		if err != nil {
			return &CloseError{Reason: ReasonIdentity, Text: err.Error()}
		}
		from.Name = name
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	same, most := 0, perIdentity // as whom it comes
	if from.stranger() {
		most = maxStrangers
	}
	for _, j := range t.joiners {
		if j.Name == from.Name {
			same++
		}
	}
	switch {
	case t.closing:
		return &CloseError{Reason: ReasonShutdown, Text: "node is stopping"}
	case t.cfg.Join == nil:
		return &CloseError{Reason: ReasonRefused, Text: "this node takes nobody in"}
	case len(t.joiners) >= maxJoiners, same >= most:
		return &CloseError{Reason: ReasonOverload, Text: "too many nodes are joining"}
	}
	t.joiners[qc] = from
	t.wg.Go(func() {
		t.serveJoin(qc, from)
		t.mu.Lock()
		delete(t.joiners, qc)
		t.mu.Unlock()
	})
	return nil
}

// serveJoin reads one request, answers it and waits until the joiner has gone: a close from here could overtake the reply.
func (t *Transport) serveJoin(qc *quic.Conn, from Joiner) {
	limit := joinTimeout
	if from.stranger() {
		limit = strangerTimeout
	}
	ctx, cancel := context.WithTimeout(t.ctx, limit)
	defer cancel()
	defer context.AfterFunc(qc.Context(), cancel)()
	if err := t.answerJoin(ctx, qc, from); err != nil {
		reason := ReasonBadFrame
		if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) { // both count the same time
			reason = ReasonSilence
		}
		_ = qc.CloseWithError(quic.ApplicationErrorCode(reason), "join: "+err.Error())
		return
	}
	<-ctx.Done()
	_ = qc.CloseWithError(quic.ApplicationErrorCode(ReasonShutdown), "answered")
}

func (t *Transport) answerJoin(ctx context.Context, qc *quic.Conn, from Joiner) error {
	s, err := qc.AcceptStream(ctx)
	if err != nil {
		return err
	}
	deadline, _ := ctx.Deadline()
	_ = s.SetDeadline(deadline) // fails on closed streams only, which the read finds
	request, err := readSized(s, maxJoinRequest)
	if err != nil {
		return err
	}
	kind := byte(joinAnswer)
	reply, err := t.cfg.Join(ctx, from, request)
	if err == nil && len(reply) > maxJoinReply {
		err = &wire.Error{Code: wire.CodeTooLarge, Detail: fmt.Sprintf("a reply of %d bytes", len(reply))}
	}
	if err != nil {
		kind, reply = joinRefusal, wire.AppendError(nil, errorOf(err))
	}
	if _, err := s.Write(appendSized([]byte{kind}, reply)); err != nil {
		return err
	}
	return s.Close()
}

// appendSized appends a length and as many bytes.
func appendSized(dst, b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(b))), b...)
}

// readSized reads a length and as many bytes. Memory grows with what arrives, not with what is declared.
func readSized(r io.Reader, limit uint32) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > limit {
		return nil, fmt.Errorf("%d bytes declared, %d at most", n, limit)
	}
	var b bytes.Buffer
	if got, err := io.CopyN(&b, r, int64(n)); err != nil {
		return nil, fmt.Errorf("%d of %d bytes: %w", got, n, err)
	}
	return b.Bytes(), nil
}

// AskJoin asks the node at addr, HOST:PORT, on behalf of a node that is not running yet, and returns what its Config.Join answered.
// It dials from conn, which stays open and which nobody else may use meanwhile, or from a socket of its own if conn is nil. Errors are
// *wire.Error when the node said no, *CloseError when it closed, or of the network.
func AskJoin(ctx context.Context, conn net.PacketConn, conf *tls.Config, addr string, request []byte) (reply []byte, err error) {
	if conn == nil {
		own, err := net.ListenPacket("udp", ":0")
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, own.Close()) }()
		conn = own
	}
	to, err := resolve(ctx, conn.LocalAddr(), addr)
	if err != nil {
		return nil, err
	}
	qt := &quic.Transport{Conn: conn}
	defer func() { err = errors.Join(err, qt.Close(), conn.SetReadDeadline(time.Time{})) }()
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	qc, err := qt.Dial(ctx, to, conf, quicConfig())
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	defer func() { _ = qc.CloseWithError(quic.ApplicationErrorCode(ReasonShutdown), "done") }()
	reply, err = askOnce(ctx, qc, request)
	var refused *wire.Error
	if err != nil && !errors.As(err, &refused) {
		switch {
		case errors.Is(err, net.ErrClosed): // the stream may learn of the connection's end before its context does
			err = closeErrorOf(err)
		case qc.Context().Err() != nil:
			err = endOf(qc)
		}
		err = fmt.Errorf("ask %s: %w", addr, err)
	}
	return reply, err
}

func askOnce(ctx context.Context, qc *quic.Conn, request []byte) ([]byte, error) {
	s, err := qc.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { s.CancelRead(0); s.CancelWrite(0) })()
	if _, err := s.Write(appendSized(nil, request)); err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	return readReply(s)
}

// readReply reads the answer of a member, or its refusal as a *wire.Error.
func readReply(r io.Reader) ([]byte, error) {
	var kind [1]byte
	if _, err := io.ReadFull(r, kind[:]); err != nil {
		return nil, err
	}
	body, err := readSized(r, maxJoinReply)
	if err != nil {
		return nil, err
	}
	switch kind[0] {
	case joinAnswer:
		return body, nil
	case joinRefusal:
		r := wire.NewReader(body)
		refused := wire.ReadError(r)
		if err := r.Done(); err != nil {
			return nil, err
		}
		return nil, refused
	}
	return nil, fmt.Errorf("reply of kind %d", kind[0])
}
