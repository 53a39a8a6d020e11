package integration

import (
	"math"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// History records operations on keys as porcupine wants them. Safe for concurrent use. Values must be
// unique over the whole history: a small domain hides stale reads (reliability.md).
type History struct {
	start time.Time

	mu struct {
		sync.Mutex
		ops     []porcupine.Operation
		unknown int
		failed  int
	}
}

// registerOp is one operation on one key: a write of value, or a read that saw value ("" for nothing).
type registerOp struct {
	key   string
	write bool
	value string
}

// NewHistory returns an empty history that begins now.
func NewHistory() *History { return &History{start: time.Now()} }

// Now is the time to hand to Wrote and Saw as the moment of the call.
func (h *History) Now() int64 { return time.Since(h.start).Nanoseconds() }

// outcome of a write, as its caller knows it.
type outcome int

const (
	applied outcome = iota
	notApplied
	unknown
)

// Wrote records a write called at call by client; what did certainly not happen is only counted.
func (h *History) Wrote(client int, call int64, key, value string, o outcome) {
	op := porcupine.Operation{ClientId: client, Input: registerOp{key: key, write: true, value: value}, Call: call, Return: h.Now()}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch o {
	case notApplied:
		h.mu.failed++
		return
	case unknown:
		// It may take effect at any later time: it never returns.
		op.Return = math.MaxInt64
		h.mu.unknown++
	}
	h.mu.ops = append(h.mu.ops, op)
}

// Saw records a read called at call by client that returned value, "" for no value.
func (h *History) Saw(client int, call int64, key, value string) {
	op := porcupine.Operation{ClientId: client, Input: registerOp{key: key}, Output: value, Call: call, Return: h.Now()}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.ops = append(h.mu.ops, op)
}

// Failed counts a read that returned nothing usable.
func (h *History) Failed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.failed++
}

// Counts returns how many operations were recorded, how many writes among them have an unknown outcome,
// and how many tries failed for certain.
func (h *History) Counts() (recorded, unknownWrites, failed int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.mu.ops), h.mu.unknown, h.mu.failed
}

// Check asks porcupine for a verdict within limit; porcupine.Unknown is a failure like Illegal.
func (h *History) Check(limit time.Duration) porcupine.CheckResult {
	h.mu.Lock()
	ops := h.mu.ops
	h.mu.Unlock()
	return porcupine.CheckOperationsTimeout(registerModel, ops, limit)
}

// registerModel is a register per key that starts empty.
var registerModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string]int{}
		var parts [][]porcupine.Operation
		for _, op := range history {
			key := op.Input.(registerOp).key
			at, ok := byKey[key]
			if !ok {
				at = len(parts)
				byKey[key] = at
				parts = append(parts, nil)
			}
			parts[at] = append(parts[at], op)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		op := input.(registerOp)
		if op.write {
			return true, op.value
		}
		return output == state, state
	},
}
