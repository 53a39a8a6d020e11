package quictransport

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"flotilla/quictransport/framing"
	"flotilla/raft/wire"
)

// errClosing is the cause with which a Transport's context ends.
var errClosing = errors.New("transport is closing")

// Transport connects one node with the others of its cluster. All methods are safe for concurrent use.
type Transport struct {
	cfg     Config
	limits  Limits
	preface framing.Preface // but for the lane
	qt      *quic.Transport
	handler Handler
	// receiveBuffer is what the system granted, in bytes.
	receiveBuffer atomic.Int64
	counters      counters
	born          time.Time
	coarse        atomic.Int64
	// routes are the connections in use, by peer: replaced whole under mu, read without it.
	routes atomic.Pointer[map[wire.NodeID]*conn]
	// peerAddrs are where known peers dial from, exempt from the limit on handshakes; replaced whole.
	peerAddrs  atomic.Pointer[map[netip.AddrPort]bool]
	handshakes atomic.Int64
	retry      meter

	// ctx is the transport's life; cancelled with errClosing.
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	done   chan struct{} // closed when Close or Kill has finished
	notify chan struct{} // wakes the goroutine that tells the handler about peers

	mu       sync.Mutex // guards what follows
	listener *quic.Listener
	closing  bool
	peers    map[wire.NodeID]*peer
	removed  map[wire.NodeID]bool
	clients  map[*quic.Conn]struct{}
	joiners  map[*quic.Conn]Joiner
	hushes   map[wire.NodeID]*hush
	streams  map[*Stream]struct{} // of snapshots
	news     []peerNews
	closeErr error
}

// New makes a Transport. Nothing is sent or received before Start.
func New(cfg Config) (*Transport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.versions == (framing.Versions{}) {
		cfg.versions = framing.Versions{Min: WireMin, Max: WireMax}
	}
	var boot [8]byte
	if _, err := rand.Read(boot[:]); err != nil {
		return nil, fmt.Errorf("draw boot id: %w", err)
	}
	t := &Transport{
		cfg: cfg, limits: cfg.Limits.withDefaults(), born: time.Now(),
		preface: framing.Preface{
			Cluster: cfg.Cluster, Node: cfg.Self, Incarnation: cfg.Incarnation, Generation: cfg.Generation,
			Boot: binary.BigEndian.Uint64(boot[:]), Versions: cfg.versions,
		},
		done: make(chan struct{}), notify: make(chan struct{}, 1),
		peers: map[wire.NodeID]*peer{}, removed: map[wire.NodeID]bool{}, clients: map[*quic.Conn]struct{}{},
		joiners: map[*quic.Conn]Joiner{}, hushes: map[wire.NodeID]*hush{}, streams: map[*Stream]struct{}{},
	}
	t.coarse.Store(1)
	t.ctx, t.cancel = context.WithCancelCause(context.Background())
	t.routes.Store(&map[wire.NodeID]*conn{})
	t.peerAddrs.Store(&map[netip.AddrPort]bool{})
	t.qt = &quic.Transport{
		Conn:        cfg.Conn,
		ConnContext: t.connContext,
		VerifySourceAddress: func(net.Addr) bool {
			return t.retry.over(t.limits.UnvalidatedPerSecond)
		},
	}
	if cfg.ResetKey != ([32]byte{}) {
		t.qt.StatelessResetKey = (*quic.StatelessResetKey)(&t.cfg.ResetKey)
	}
	return t, nil
}

// Start begins to listen and to dial. h gets everything that comes from then on. Call it once.
func (t *Transport) Start(h Handler) error {
	if err := t.listen(h); err != nil {
		return err
	}
	t.checkBuffers()
	return nil
}

func (t *Transport) listen(h Handler) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing || t.handler != nil {
		return fmt.Errorf("start transport: started before, or closed: %w", errClosing)
	}
	ln, err := t.qt.Listen(t.cfg.TLS.ServerConfig(), quicConfig())
	if err != nil {
		return fmt.Errorf("listen on %s: %w", t.cfg.Conn.LocalAddr(), err)
	}
	t.listener, t.handler = ln, h
	t.wg.Go(t.accept)
	t.wg.Go(t.tick)
	t.wg.Go(t.tellNews)
	for _, p := range t.peers {
		p.start()
	}
	return nil
}

// quicConfig is the same for every connection, dialled or accepted.
func quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:           handshakeIdle,
		MaxIdleTimeout:                 idleTimeout,
		KeepAlivePeriod:                keepAlive,
		InitialStreamReceiveWindow:     streamWindow,
		MaxStreamReceiveWindow:         streamWindow,
		InitialConnectionReceiveWindow: connWindow,
		MaxConnectionReceiveWindow:     connWindow,
		MaxIncomingStreams:             maxBidiStreams,
		MaxIncomingUniStreams:          maxUniStreams,
	}
}

// Addr returns the socket's address.
func (t *Transport) Addr() net.Addr { return t.cfg.Conn.LocalAddr() }

// Send queues one turn's messages for one peer on one lane (P5). It never blocks, reads msgs before it returns and keeps
// nothing of them. Errors are *wire.Error: CodeUnreachable without a connection, CodeOverloaded when the lane is full,
// CodeTooLarge, CodeStopped; then none of msgs is sent.
func (t *Transport) Send(to wire.NodeID, lane wire.Lane, msgs []wire.Message) error {
	c, err := t.route(to)
	if err != nil {
		return err
	}
	if len(msgs) == 0 {
		return nil
	}
	if lane == wire.LaneAppend {
		return c.sendAppends(msgs)
	}
	return c.sendControl(msgs)
}

// route returns the connection in use to a peer.
func (t *Transport) route(to wire.NodeID) (*conn, error) {
	if c := (*t.routes.Load())[to]; c != nil {
		return c, nil
	}
	t.counters.unreachable.Add(1)
	if t.ctx.Err() != nil {
		return nil, &wire.Error{Code: wire.CodeStopped, Detail: "this node's transport is closed"}
	}
	return nil, &wire.Error{Code: wire.CodeUnreachable, Detail: fmt.Sprintf("node %d: no connection", to)}
}

// emit tells the operator.
func (t *Transport) emit(e Event) {
	if t.cfg.Events != nil {
		t.cfg.Events(e)
	}
}
