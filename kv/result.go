package kv

import (
	"math"

	"flotilla/raft/wire"
)

// Status is the outcome of one applied command or of one get.
type Status uint8

// The outcomes. Numbers never change. All but StatusOK changed nothing.
const (
	// StatusOK: done; Revision is the key's.
	StatusOK Status = 1
	// StatusConflict: the precondition does not hold; Revision is the key's present one, 0 if it does not exist.
	StatusConflict Status = 2
	// StatusNotFound: the key does not exist.
	StatusNotFound Status = 3
	// StatusSessionExpired: the session is not known: never opened, closed, or evicted. Whether an earlier try of
	// this sequence was applied is not known any more.
	StatusSessionExpired Status = 4
	// StatusAcknowledged: the client itself has said that it is done with this sequence.
	StatusAcknowledged Status = 5
	// StatusWindow: the sequence runs MaxWindow or more ahead of the acknowledged mark.
	StatusWindow Status = 6
	// StatusInvalid: key or value over their limits, or numbers that make no sense.
	StatusInvalid Status = 7
)

// Result is what applying a command returned.
type Result struct {
	Status   Status
	Revision Revision
	// Session is the id of the session that OpOpen opened.
	Session SessionID
}

func appendResult(dst []byte, r Result) []byte {
	dst = wire.AppendUint(wire.AppendArray(dst, 3), uint64(r.Status))
	dst = wire.AppendUint(dst, uint64(r.Revision))
	return wire.AppendUint(dst, uint64(r.Session))
}

// DecodeResult reads what Apply returned for one command. Errors are *wire.DecodeError.
func DecodeResult(b []byte) (Result, error) {
	var r wire.Reader
	r.Reset(b)
	r.Array(3)
	res := Result{Status: Status(r.UintMax(math.MaxUint8)), Revision: Revision(r.Uint()), Session: SessionID(r.Uint())}
	if err := r.Done(); err != nil {
		return Result{}, err
	}
	return res, nil
}
