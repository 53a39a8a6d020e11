package protocol

import "flotilla/raft/wire"

// Hello is a client's first frame: the versions it speaks.
type Hello struct{ Min, Max Version }

// Welcome is a server's first frame: the version to speak, and who it is.
type Welcome struct {
	// Version is 0 when there is none in common; the server closes then.
	Version Version
	Node    wire.NodeID
	Cluster string
}

// Choose returns the highest version that both h and this package speak, 0 if there is none (P35).
func (h Hello) Choose() Version {
	if v := min(h.Max, VersionMax); v >= max(h.Min, VersionMin) {
		return v
	}
	return 0
}

// AppendHello appends the body of a frame with h.
func AppendHello(dst []byte, h Hello) []byte {
	dst = wire.AppendUint(wire.AppendArray(dst, 3), 0)
	return wire.AppendUint(wire.AppendUint(dst, uint64(h.Min)), uint64(h.Max))
}

// DecodeHello reads the body of a client's first frame. Errors are *wire.DecodeError.
func DecodeHello(body []byte) (Hello, error) {
	r := wire.NewReader(body)
	r.Array(3)
	r.UintMax(0)
	h := Hello{Min: Version(r.UintMax(1<<16 - 1)), Max: Version(r.UintMax(1<<16 - 1))}
	return h, r.Done()
}

// AppendWelcome appends the body of a frame with w.
func AppendWelcome(dst []byte, w Welcome) []byte {
	dst = wire.AppendUint(wire.AppendArray(dst, 4), 0)
	dst = wire.AppendUint(wire.AppendUint(dst, uint64(w.Version)), uint64(w.Node))
	return wire.AppendString(dst, cut(w.Cluster))
}

// DecodeWelcome reads the body of a server's first frame. Errors are *wire.DecodeError.
func DecodeWelcome(body []byte) (Welcome, error) {
	r := wire.NewReader(body)
	r.Array(4)
	r.UintMax(0)
	w := Welcome{Version: Version(r.UintMax(1<<16 - 1)), Node: wire.NodeID(r.Uint()), Cluster: r.String(MaxTextBytes)}
	return w, r.Done()
}
