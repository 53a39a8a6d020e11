package hostsim

import "testing"

// BenchmarkRun reports how many times faster than real time clusters run: whole runs, faults, healing and all.
func BenchmarkRun(b *testing.B) {
	b.ReportAllocs()
	simulated, seed := 0.0, uint64(0)
	for b.Loop() {
		seed++
		r := Simulate(seed)
		if r.Err != nil {
			b.Fatal(r.Err)
		}
		simulated += r.Stats.Simulated.Seconds()
	}
	b.ReportMetric(simulated/b.Elapsed().Seconds(), "x-real-time")
}
