package machinetest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"flotilla/raft/multiraft"
	"flotilla/raft/wire"
)

// cells is the machine that the suite is tried on: 256 numbers, by a command's first byte, set to its second one; zero is none. With a
// disk, state and index are kept there at every Apply. Each fault is one that a machine may have.
type cells struct {
	fault string
	set   map[byte]byte
	disk  *disk
	lock  sync.Mutex // held by faults only
}

// disk is what is durable of a machine.
type disk struct {
	set map[byte]byte
	at  wire.Index
}

func (c *cells) Apply(batch []multiraft.Command) ([][]byte, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	results := make([][]byte, len(batch))
	for i, cmd := range batch {
		k, v := cmd.Data[0], cmd.Data[1]
		results[i] = []byte{c.set[k]}
		if c.fault == "results of the batch" {
			results[i] = []byte{byte(i)}
		}
		if c.set[k] = v; v == 0 {
			delete(c.set, k)
		}
		if c.fault == "durable in part" && i == len(batch)/2 {
			c.save(batch[len(batch)-1].Index)
		}
	}
	if c.fault == "drops a result" {
		results = results[1:]
	}
	if c.fault != "durable in part" {
		c.save(batch[len(batch)-1].Index)
	}
	if c.fault == "index apart" && c.disk != nil {
		c.disk.at = batch[0].Index
	}
	return results, nil
}

func (c *cells) save(at wire.Index) {
	if c.disk != nil && c.fault != "never durable" {
		*c.disk = disk{set: maps.Clone(c.set), at: at}
	}
}

func (c *cells) Query(request []byte) ([]byte, error) {
	if c.fault == "query writes" {
		c.set[request[0]]++
	}
	return []byte{c.set[request[0]]}, nil
}

type frozenCells struct {
	c   *cells
	set map[byte]byte
}

func (c *cells) Freeze() (multiraft.Frozen, error) {
	if c.fault == "not frozen" {
		return &frozenCells{c, c.set}, nil
	}
	return &frozenCells{c, maps.Clone(c.set)}, nil
}

func (f *frozenCells) Close() error { return nil }

func (f *frozenCells) WriteTo(w io.Writer) (int64, error) {
	if f.c.fault == "apply waits" {
		f.c.lock.Lock()
		defer f.c.lock.Unlock()
	}
	keys := slices.Sorted(maps.Keys(f.set))
	if f.c.fault == "unordered" {
		rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	}
	var b []byte
	if f.c.fault != "no end" {
		b = binary.BigEndian.AppendUint16(b, uint16(len(keys)))
	}
	for _, k := range keys {
		b = append(b, k, f.set[k])
	}
	n, err := w.Write(b[:len(b)/2])
	if err == nil {
		var m int
		m, err = w.Write(b[len(b)/2:])
		n += m
	}
	if f.c.fault == "counts wrongly" {
		n++
	}
	if f.c.fault == "hides errors" {
		err = nil
	}
	return int64(n), err
}

func (c *cells) Restore(at wire.Index, state io.Reader) error {
	next := map[byte]byte{}
	if c.fault == "merges" {
		next = maps.Clone(c.set)
	}
	if c.fault == "restores in place" {
		clear(c.set)
		next = c.set
	}
	if err := c.read(next, bufio.NewReader(state)); err != nil {
		return err
	}
	if c.fault == "forgets on restore" {
		maps.DeleteFunc(next, func(k, _ byte) bool { return k >= 250 })
	}
	if c.set = next; c.fault != "restored without a trace" {
		c.save(at)
	}
	return nil
}

func (c *cells) read(into map[byte]byte, r *bufio.Reader) error {
	var head [2]byte
	if c.fault != "no end" {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return fmt.Errorf("head: %w", err)
		}
	}
	last := -1
	for n := int(binary.BigEndian.Uint16(head[:])); n > 0 || c.fault == "no end"; n-- {
		var pair [2]byte
		if m, err := io.ReadFull(r, pair[:]); c.fault == "no end" && m == 0 && errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("pair: %w", err)
		}
		if k := int(pair[0]); k <= last || pair[1] == 0 {
			if c.fault == "panics" {
				panic("keys out of order")
			}
			return errors.New("pair out of order, or of nothing")
		}
		last = int(pair[0])
		into[pair[0]] = pair[1]
	}
	if c.fault == "stops early" {
		return nil
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the last pair: %w", errors.Join(err, errors.New("it goes on")))
	}
	return nil
}

func harness(fault string) Harness {
	h := Harness{
		New: func(testing.TB) multiraft.Snapshotter {
			return &cells{fault: fault, set: map[byte]byte{}, disk: &disk{set: map[byte]byte{}}}
		},
		Command: func(rng *rand.Rand) []byte { return []byte{byte(rng.IntN(256)), byte(rng.IntN(3))} },
		Query:   func(rng *rand.Rand) []byte { return []byte{byte(rng.IntN(256))} },
		Crash: func(_ testing.TB, m multiraft.Snapshotter) (multiraft.Snapshotter, wire.Index) {
			was := *m.(*cells).disk
			return &cells{fault: fault, set: maps.Clone(was.set), disk: &was}, was.at
		},
	}
	h.Reopen = h.Crash
	return h
}

func TestRightMachine(t *testing.T) { Run(t, harness("")) }

// TestFaultyMachines: each fault is found by the demand that it breaks.
func TestFaultyMachines(t *testing.T) {
	for fault, by := range map[string]string{
		"results of the batch":     "same log, same state",
		"drops a result":           "same log, same state",
		"unordered":                "same log, same state",
		"counts wrongly":           "same log, same state",
		"query writes":             "queries change nothing",
		"not frozen":               "frozen state stays",
		"merges":                   "restored goes on alike",
		"forgets on restore":       "restored goes on alike",
		"restores in place":        "restore is all or nothing",
		"stops early":              "restore is all or nothing",
		"no end":                   "restore is all or nothing",
		"hides errors":             "errors of the writer",
		"panics":                   "damage does not panic",
		"never durable":            "reopened where it was",
		"restored without a trace": "reopened where it was",
		"durable in part":          "crash leaves a state that was",
		"index apart":              "crash leaves a state that was",
	} {
		t.Run(fault, func(t *testing.T) {
			h := harness(fault)
			for _, c := range checks() {
				if c.name == by {
					if err := fails(func() error { return c.run(t, &h) }); err == nil {
						t.Errorf("%q does not find it", by)
					} else {
						t.Log(err)
					}
				}
			}
		})
	}
}

// fails turns a panic into an error.
func fails(run func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return run()
}

// TestApplyThatWaits: the suite gives up on a machine that stands still while its state is being written.
func TestApplyThatWaits(t *testing.T) {
	h := harness("apply waits")
	s := h.source(1)
	m := h.New(t)
	f, err := m.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Writer: &bytes.Buffer{}, begun: make(chan struct{}), on: make(chan struct{})}
	written := make(chan error, 1)
	go func() { written <- write(f, g) }()
	<-g.begun
	if err := applyMeanwhile(m, s, 50*time.Millisecond); err == nil {
		t.Error("nobody waited")
	}
	close(g.on)
	if err := <-written; err != nil {
		t.Error(err)
	}
}
