package snapshotstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

const (
	sessionVersion = 1
	// frameLead are the bytes in front of a frame's payload.
	frameLead = 28
	// answerFixed are an answer's bytes beside its detail.
	answerFixed = 24
)

type frameKind uint8

const (
	frameOffer  frameKind = 1 // payload: a header, as in a file
	frameAnswer frameKind = 2
	frameChunk  frameKind = 3 // payload: a chunk, as in a file
	frameDone   frameKind = 4 // payload: a trailer, as in a file
)

// Stamp is what each frame carries of its sender's epochs, for the fence (P25): package epoch has the rules.
type Stamp struct{ Observed, Applied Epoch }

// appendLead appends the lead of a frame of kind with a payload of n bytes.
func appendLead(dst []byte, kind frameKind, n int, s Stamp) []byte {
	start := len(dst)
	dst = append(dst, sessionVersion, byte(kind), 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.Observed))
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.Applied))
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// lead is what stands in front of a payload.
type lead struct {
	kind   frameKind
	length int
	stamp  Stamp
}

func parseLead(b []byte) (lead, error) {
	l := lead{
		kind: frameKind(b[1]), length: int(binary.BigEndian.Uint32(b[4:])),
		stamp: Stamp{Observed: Epoch(binary.BigEndian.Uint64(b[8:])), Applied: Epoch(binary.BigEndian.Uint64(b[16:]))},
	}
	switch {
	case crc32.Checksum(b[:frameLead-4], castagnoli) != binary.BigEndian.Uint32(b[frameLead-4:]):
		return lead{}, corrupt("frame", 0, errChecksum)
	case b[0] != sessionVersion:
		return lead{}, &VersionError{What: "session", Version: uint32(b[0])}
	case b[2] != 0 || b[3] != 0:
		return lead{}, corrupt("frame", 2, errCanonical)
	}
	return l, nil
}

// readLead reads the lead of the next frame, which has to be of kind.
func readLead(r io.Reader, kind frameKind) (lead, error) {
	b := make([]byte, frameLead)
	if _, err := io.ReadFull(r, b); err != nil {
		return lead{}, &linkError{"read frame", err}
	}
	l, err := parseLead(b)
	if err == nil && l.kind != kind {
		err = corrupt("frame", 1, errPlace)
	}
	return l, err
}

// readPayload reads n bytes into buf, growing it. n was compared with a limit.
func readPayload(r io.Reader, buf []byte, n int) ([]byte, error) {
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		return buf, &linkError{"read payload of a frame", err}
	}
	return buf, nil
}

// outcome is what an answer says.
type outcome uint8

const (
	// outcomeContinue: the body is durable up to the offset; send from there, a window at most, and wait.
	outcomeContinue outcome = 1
	// outcomeHeld: all of it is here, durable, under its name.
	outcomeHeld outcome = 2
	// outcomeRefused: no.
	outcomeRefused outcome = 3
)

// Reason says why a snapshot, or what came of it, was refused.
type Reason uint8

// The reasons. Unknown ones up to 255 are read and mean no more than no.
const (
	ReasonStale       Reason = 1 // the sender's epoch is behind
	ReasonNotWanted   Reason = 2 // the receiver needs no such snapshot now
	ReasonOvertaken   Reason = 3 // it has a newer one
	ReasonQuarantined Reason = 4 // corrupt chunks twice: another snapshot has to be offered
	ReasonNoSpace     Reason = 5
	ReasonCorrupt     Reason = 6 // a corrupt chunk: try once more
	ReasonTakenOver   Reason = 7 // another session goes on with it
	ReasonVersion     Reason = 8
	ReasonFailed      Reason = 9 // the receiver's disk, or another trouble of its own
)

// answer is the payload of a frameAnswer.
type answer struct {
	outcome outcome
	reason  Reason // of a refusal
	offset  uint64 // of outcomeContinue
	window  uint64 // of outcomeContinue: bytes of the body until the next answer
	detail  string // of a refusal
}

func appendAnswer(dst []byte, a *answer) []byte {
	start := len(dst)
	detail := a.detail[:min(len(a.detail), maxDetail)]
	dst = append(dst, byte(a.outcome), byte(a.reason))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(detail)))
	dst = binary.BigEndian.AppendUint64(dst, a.offset)
	dst = binary.BigEndian.AppendUint64(dst, a.window)
	dst = append(dst, detail...)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func parseAnswer(b []byte) (answer, error) {
	bad := func(err error) (answer, error) { return answer{}, corrupt("answer", 0, err) }
	if len(b) < answerFixed || len(b) != answerFixed+int(binary.BigEndian.Uint16(b[2:])) || len(b) > answerFixed+maxDetail {
		return bad(errLength)
	}
	if crc32.Checksum(b[:len(b)-4], castagnoli) != binary.BigEndian.Uint32(b[len(b)-4:]) {
		return bad(errChecksum)
	}
	a := answer{
		outcome: outcome(b[0]), reason: Reason(b[1]), offset: binary.BigEndian.Uint64(b[4:]),
		window: binary.BigEndian.Uint64(b[12:]), detail: string(b[20 : len(b)-4]),
	}
	refused, goesOn := a.outcome == outcomeRefused, a.outcome == outcomeContinue
	switch {
	case a.outcome < outcomeContinue || a.outcome > outcomeRefused,
		refused == (a.reason == 0), !refused && a.detail != "", !goesOn && a.offset != 0, goesOn == (a.window == 0):
		return bad(errPlace)
	}
	return a, nil
}

// RefusedError is a receiver's no, at the sender.
type RefusedError struct {
	Reason Reason
	Detail string
}

// Error is what the receiver said.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("snapshot refused (%d): %s", e.Reason, e.Detail)
}

// ErrPeer says that the other side of a session does what the protocol does not know.
var ErrPeer = errors.New("snapshot session: peer breaks the protocol")

// linkError is a failure of the connection: the peer cannot be told, and nothing speaks against the snapshot.
type linkError struct {
	what string
	err  error
}

func (e *linkError) Error() string { return e.what + ": " + e.err.Error() }
func (e *linkError) Unwrap() error { return e.err }
