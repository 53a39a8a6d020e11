// Package scrub reads a node's files again, now and then and slowly, to find what has rotted before somebody needs it.
//
// It hides when a pass is due, how fast it goes and what its findings are for. A pass gives way to commits. What was found is damaged
// for certain: checksums do not match. Whoever runs it takes the replicas concerned out of service.
//
//	s := scrub.New(scrub.Config{Interval: time.Hour, Log: store, Snapshots: snapshots, Damaged: quarantine, Remake: remake})
//	s.Run(ctx)
package scrub

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"flotilla/raft/logstore"
	"flotilla/raft/wire"
	"flotilla/snapshotstream"
)

// rate is in bytes per second: some percent of a slow disk, and 100 GiB in four hours.
const rate = 8 << 20

// Config is what a Scrubber reads, and whom it tells.
type Config struct {
	// Interval is how long after a pass, and after the start, the next one begins; 0 or less is never.
	Interval  time.Duration
	Log       *logstore.Store
	Snapshots *snapshotstream.Store
	// Busy says that something more urgent waits for the disk.
	Busy func() bool
	// Damaged takes a replica out of service whose log has lost something.
	Damaged func(wire.GroupID, error)
	// Remake has another snapshot made in place of one that was set aside as damaged.
	Remake func(context.Context, wire.GroupID) error
	// Events is told; it must not block.
	Events func(Event)
}

// Event is one of the types below.
type Event interface{ event() }

// Passed says that a pass is done.
type Passed struct {
	Bytes     int64
	Snapshots int
	// Damaged counts replicas and snapshots.
	Damaged int
	Took    time.Duration
}

// LogDamaged says that the log of a replica has lost something: it is out of service.
type LogDamaged struct {
	Group wire.GroupID
	Err   error
}

// LogRenewed says that the log file which commits go to has rotted in parts that memory knows: another one is begun.
type LogRenewed struct{}

// SnapshotDamaged says that a snapshot was set aside, and another one made, or why not.
type SnapshotDamaged struct {
	Group  wire.GroupID
	Index  wire.Index
	Err    error
	Remade error
}

// PassFailed says that a pass came to an end early.
type PassFailed struct{ Err error }

func (Passed) event()          {}
func (LogDamaged) event()      {}
func (LogRenewed) event()      {}
func (SnapshotDamaged) event() {}
func (PassFailed) event()      {}

// Stats counts since New.
type Stats struct {
	Passes, Failed   uint64
	Bytes            uint64
	DamagedLogs      uint64
	DamagedSnapshots uint64
	// Last is when the last pass was done, zero before.
	Last time.Time
}

// Scrubber makes passes. Its methods are safe for concurrent use, but for Run and Pass, of which one runs at a time.
type Scrubber struct {
	cfg   Config
	pacer *snapshotstream.Pacer

	passes, failed, bytes, logs, snapshots atomic.Uint64
	last                                   atomic.Int64
}

// New returns a Scrubber that does nothing before Run.
func New(cfg Config) *Scrubber {
	return &Scrubber{cfg: cfg, pacer: snapshotstream.NewPacer(rate, nil)}
}

// Run makes passes until ctx ends.
func (s *Scrubber) Run(ctx context.Context) {
	if s.cfg.Interval <= 0 {
		return
	}
	timer := time.NewTimer(s.cfg.Interval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			s.Pass(ctx)
			timer.Reset(s.cfg.Interval)
		}
	}
}

// Pass reads everything once.
func (s *Scrubber) Pass(ctx context.Context) {
	began := time.Now()
	log, err := s.cfg.Log.Scrub(ctx, s.pace)
	for _, g := range slices.Sorted(maps.Keys(log.Damaged)) {
		s.logs.Add(1)
		s.cfg.Damaged(g, log.Damaged[g])
		s.cfg.Events(LogDamaged{Group: g, Err: log.Damaged[g]})
	}
	if log.Renewed {
		s.cfg.Events(LogRenewed{})
	}
	snaps, err2 := s.cfg.Snapshots.Scrub(ctx, s.pace)
	for _, d := range snaps.Damaged {
		s.snapshots.Add(1)
		s.cfg.Events(SnapshotDamaged{Group: d.Header.Group, Index: d.Header.Index, Err: d.Err, Remade: s.cfg.Remake(ctx, d.Header.Group)})
	}
	s.bytes.Add(uint64(log.Bytes + snaps.Bytes))
	if err := errors.Join(err, err2); err != nil {
		if ctx.Err() == nil {
			s.failed.Add(1)
			s.cfg.Events(PassFailed{err})
		}
		return
	}
	s.passes.Add(1)
	s.last.Store(time.Now().UnixNano())
	s.cfg.Events(Passed{
		Bytes: log.Bytes + snaps.Bytes, Snapshots: snaps.Snapshots, Damaged: len(log.Damaged) + len(snaps.Damaged), Took: time.Since(began),
	})
}

func (s *Scrubber) pace(ctx context.Context, n int) error {
	if s.cfg.Busy() {
		s.pacer.SlowDown()
	}
	return s.pacer.Wait(ctx, n)
}

// Stats returns the present counts.
func (s *Scrubber) Stats() Stats {
	st := Stats{
		Passes: s.passes.Load(), Failed: s.failed.Load(), Bytes: s.bytes.Load(), DamagedLogs: s.logs.Load(), DamagedSnapshots: s.snapshots.Load(),
	}
	if at := s.last.Load(); at != 0 {
		st.Last = time.Unix(0, at)
	}
	return st
}
