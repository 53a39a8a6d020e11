package server

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"flotilla/client"
	"flotilla/raft/wire"
)

// input and output are one operation of a history on one key.
type (
	input struct {
		op       string // get, put, putIf, delete
		key      string
		value    string
		expected client.Revision
	}
	output struct {
		value    string
		revision client.Revision
		err      string // "", "conflict", "not_found"
	}
	// register is what a key holds; revision 0 is a key that does not exist.
	register struct {
		value    string
		revision client.Revision
	}
)

// registerModel says what a linearizable key with revisions may answer.
var registerModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		byKey := map[string][]porcupine.Operation{}
		for _, o := range history {
			k := o.Input.(input).key
			byKey[k] = append(byKey[k], o)
		}
		for _, p := range byKey {
			parts = append(parts, p)
		}
		return parts
	},
	Init: func() any { return register{} },
	Step: func(state, in, out any) (bool, any) {
		s, i, o := state.(register), in.(input), out.(output)
		exists := s.revision != 0
		switch i.op {
		case "get":
			if o.err == "not_found" {
				return !exists, s
			}
			return exists && o.value == s.value && o.revision == s.revision, s
		case "delete":
			if o.err == "not_found" {
				return !exists, s
			}
			return exists && o.revision > s.revision, register{}
		case "putIf":
			if o.err == "conflict" {
				return s.revision != i.expected && o.revision == s.revision, s
			}
			if s.revision != i.expected {
				return false, s
			}
		}
		return o.revision > s.revision, register{i.value, o.revision}
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
}

// TestHistoriesAreLinearizable: with a third of all commands going wrong in every way there is, what the callers of
// many clients see is what one register a key would have shown them, revisions included (N7, D39).
func TestHistoriesAreLinearizable(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			history := record(t, seed, 6, 120)
			result, info := porcupine.CheckOperationsVerbose(registerModel, history, 30*time.Second)
			if result != porcupine.Ok { // unknown is a failure too
				path := t.TempDir() + "/history.html"
				_ = porcupine.VisualizePath(registerModel, info, path)
				t.Errorf("verdict %s, see %s", result, path)
			}
		})
	}
}

// record runs clients against a faulty cluster and returns their history.
func record(t *testing.T, seed uint64, clients, ops int) []porcupine.Operation {
	b := newBackend(2)
	var mu sync.Mutex
	faults := rand.New(rand.NewPCG(seed, 1))
	b.fault = func(wire.NodeID, wire.GroupID) fault {
		mu.Lock()
		defer mu.Unlock()
		if faults.IntN(3) > 0 {
			return faultNone
		}
		return fault(1 + faults.IntN(int(faultHang)-1))
	}
	c := newCluster(t, b, 3, defaultLimits())
	start := time.Now()
	var history []porcupine.Operation
	var wg sync.WaitGroup
	for id := range clients {
		cl := c.dial(t)
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(id)+100))
			seen := map[string]client.Revision{}
			for n := range ops {
				i := input{op: []string{"get", "get", "put", "putIf", "putIf", "delete"}[rng.IntN(6)], key: fmt.Sprintf("k%d", rng.IntN(3)), value: fmt.Sprintf("%d/%d", id, n)}
				i.expected = seen[i.key]
				call := time.Since(start)
				o, err := operate(t, cl, i)
				end := time.Since(start)
				if err != nil {
					t.Errorf("%+v: %v", i, err)
					return
				}
				if seen[i.key] = o.revision; i.op == "delete" {
					seen[i.key] = 0
				}
				mu.Lock()
				history = append(history, porcupine.Operation{ClientId: id, Input: i, Output: o, Call: int64(call), Return: int64(end)})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return history
}

// operate does one operation; only outcomes that say for certain what happened are no error.
func operate(t *testing.T, cl *client.Client, i input) (output, error) {
	var it client.Item
	var r client.Result
	var err error
	switch i.op {
	case "get":
		it, err = cl.Get(t.Context(), []byte(i.key))
	case "put":
		r, err = cl.Put(t.Context(), []byte(i.key), []byte(i.value))
	case "putIf":
		r, err = cl.PutIf(t.Context(), []byte(i.key), []byte(i.value), i.expected)
	default:
		r, err = cl.Delete(t.Context(), []byte(i.key))
	}
	var e *client.Error
	switch {
	case err == nil:
		return output{value: string(it.Value), revision: max(it.Revision, r.Revision)}, nil
	case errors.Is(err, client.ErrPrecondition) && errors.As(err, &e):
		return output{err: "conflict", revision: e.Revision}, nil
	case errors.Is(err, client.ErrNotFound):
		return output{err: "not_found"}, nil
	}
	return output{}, err
}

// BenchmarkPut1024 is 1,024 callers of one client on one node, consensus and disk taking no time.
func BenchmarkPut1024(b *testing.B) {
	c := newCluster(b, newBackend(4), 1, defaultLimits())
	cl := c.dial(b)
	value := make([]byte, 128)
	b.ReportAllocs()
	b.SetParallelism(512) // times 2 processors
	b.RunParallel(func(pb *testing.PB) {
		k := key(rand.IntN(10_000))
		for pb.Next() {
			if _, err := cl.Put(b.Context(), k, value); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// BenchmarkPut1 is a single caller: the latency of the way from client to machine and back.
func BenchmarkPut1(b *testing.B) {
	c := newCluster(b, newBackend(4), 1, defaultLimits())
	cl := c.dial(b)
	value := make([]byte, 128)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := cl.Put(b.Context(), key(1), value); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGet1024 is the same with reads.
func BenchmarkGet1024(b *testing.B) {
	c := newCluster(b, newBackend(4), 1, defaultLimits())
	cl := c.dial(b)
	for i := range 100 {
		if _, err := cl.Put(b.Context(), key(i), make([]byte, 128)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.SetParallelism(512)
	b.RunParallel(func(pb *testing.PB) {
		k := key(rand.IntN(100))
		for pb.Next() {
			if _, err := cl.Get(b.Context(), k); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}
