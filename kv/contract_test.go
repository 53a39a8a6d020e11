package kv

import (
	"math/rand/v2"
	"testing"

	"flotilla/raft/multiraft"
	"flotilla/raft/multiraft/machinetest"
)

// TestContract: the machine is what the loop takes it for (N5, D19).
func TestContract(t *testing.T) {
	machinetest.Run(t, machinetest.Harness{
		New: func(testing.TB) multiraft.Snapshotter { return New() },
		Command: func(rng *rand.Rand) []byte {
			c := (&traffic{rng: rng, opened: 150}).next() // sessions that are not open yet are expired
			return AppendCommand(nil, &c)
		},
		Query: func(rng *rand.Rand) []byte {
			switch g := (&traffic{rng: rng}).next(); rng.IntN(3) {
			case 0:
				return AppendGet(nil, g.Key)
			case 1:
				return AppendScan(nil, Scan{Prefix: []byte("k1"), Limit: 20})
			}
			return AppendStats(nil)
		},
	})
}
