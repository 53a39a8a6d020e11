package placement_test

import (
	"testing"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/raft/wire"
)

// metropolis is 64 nodes with 10,000 groups of three voters each, spread evenly.
func metropolis() *catalog.Snapshot {
	v := city(3, "")
	var all ids
	for n := wire.NodeID(1); n <= 64; n++ {
		v.Topology.Nodes = append(v.Topology.Nodes, catalog.Node{ID: n, Addr: "n:1", Generation: 1, State: catalog.NodeActive})
		all = append(all, n)
	}
	v.Groups = append(v.Groups, group(0, 0, all[:5], all[5:]...))
	for i := range 10_000 {
		voters := ids{wire.NodeID(1 + i%64), wire.NodeID(1 + (i+1+i/64%20)%64), wire.NodeID(1 + (i+30+i/64%20)%64)}
		leader := voters[0]
		for k := range voters {
			for j := range k {
				if voters[k] < voters[j] {
					voters[k], voters[j] = voters[j], voters[k]
				}
			}
		}
		v.Groups = append(v.Groups, group(wire.GroupID(i+1), leader, voters))
	}
	return v
}

// Planning happens at each change of the topology, so it has to be quick even when nothing is to be done.
func BenchmarkPlan(b *testing.B) {
	drained, grown := metropolis(), metropolis()
	drained.Topology.Nodes[9].State = catalog.NodeLeaving
	grown.Topology.Nodes = append(grown.Topology.Nodes, catalog.Node{ID: 65, Addr: "n:1", Generation: 1, State: catalog.NodeActive})
	for _, c := range []struct {
		name string
		v    *catalog.Snapshot
	}{{"content", metropolis()}, {"leaving", drained}, {"joined", grown}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n = len(placement.Plan(c.v))
			}
			b.ReportMetric(float64(n), "changes")
		})
	}
}

// Every leader looks at each of its groups whenever something happens.
func BenchmarkNext(b *testing.B) {
	v := metropolis()
	b.ReportAllocs()
	for b.Loop() {
		g := &v.Groups[5000]
		placement.Next(v, g.ID, placement.View{Self: g.Leader, Members: g.Members, Settled: true, Alive: func(wire.NodeID) bool { return true }})
	}
}
