package hostsim

import (
	"fmt"
	"strings"
	"time"

	"flotilla/raft/rafttest"
	"flotilla/raft/rafttest/replay"
	"flotilla/raft/wire"
)

// trace is the running hash over everything that happens, and the lines of it for whoever wants to read them.
type trace struct {
	replay.Hash
	lines func(at time.Duration, line string) // nil for nobody
}

func (t *trace) words(vs ...uint64) {
	for _, v := range vs {
		t.Word(v)
	}
}

func (t *trace) message(m *wire.Message) {
	t.words(uint64(m.Type), uint64(m.Group), uint64(m.From)<<32|uint64(m.To), uint64(m.Term), uint64(m.LogTerm), uint64(m.Index),
		uint64(m.Commit), uint64(m.Hint), uint64(m.HintTerm), m.Context, uint64(len(m.Entries)))
	if m.Reject {
		t.Word(1)
	}
	for i := range m.Entries {
		t.words(uint64(m.Entries[i].Index), uint64(m.Entries[i].Term), uint64(len(m.Entries[i].Data)))
	}
}

// note tells one line to whoever reads. Its arguments are only looked at when somebody does.
func (s *Sim) note(format string, args ...any) {
	if s.trace.lines != nil {
		s.trace.lines(s.now, fmt.Sprintf(format, args...))
	}
}

// tell is note, and has the line hashed: for what is rare.
func (s *Sim) tell(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	s.trace.Text(line)
	if s.trace.lines != nil {
		s.trace.lines(s.now, line)
	}
}

// String renders a frame for a line.
func (f *frame) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v->%v epoch %d/%d", f.from, f.to, f.stamp.Observed, f.stamp.Applied)
	switch f.kind {
	case frameMessages:
		for i := range f.msgs {
			fmt.Fprintf(&b, "; g%d %s", f.msgs[i].Group, rafttest.FormatMessage(&f.msgs[i]))
		}
	case frameRefused:
		fmt.Fprintf(&b, "; refuses a frame of epoch %d", f.refused.stamp.Observed)
	case frameGoodbye:
		b.WriteString("; goodbye")
	case framePacket:
		fmt.Fprintf(&b, "; %v", f.packet)
	default:
		fmt.Fprintf(&b, "; %s %d", frameNames[f.kind], f.forward.id)
		if f.err != nil {
			fmt.Fprintf(&b, ": %v", f.err)
		}
	}
	return b.String()
}

// Stats counts what happened in a run: a run in which little did proves little.
type Stats struct {
	Simulated                       time.Duration
	Events, Frames, Lost, Refused   int
	Turns, Commits, Elections       int
	Crashes, Stops, Pauses, Cuts    int
	DiskFaults, Restarts            int
	Writes, Acknowledged, Unknown   int
	Reads, ReadsOK, Stale           int
	Forwards, Applied, Transfers    int
	Epochs, Connections, Metadata   int
	Conflicts, Repeated, Unanswered int
	Followed, Quarantined, Changes  int
	// Of membership that runs itself.
	Joined, Left, Replaced, Ghosts int
	Made, Ended, Reports, Disowned int
	Created, Deleted               int
	// Of imports: refused at once, begun, made, taken back, given up by who waited, cut off by the end of a process.
	Unfit, Begun, Imported, TakenBack, GivenUp, CutOff int
	// Of snapshots: made, whose transfer began, went on, ended whole; taken over by a machine, by a log, by a log at a start; received and
	// named at a start; asked for.
	SnapshotsMade, SnapshotsSent, Resumed, Received int
	Restored, Installed, Finished, Adopted, Asked   int
	// Damaged on the disk, on the way, found so, found so twice; taken over by another transfer; without space; power cuts.
	Rotten, Broken, Flipped, Corrupt, Struck, TakenOver, Spaceless, Powerless int
	SnapshotBytes                                                             int64
}

// Plus returns the sum of two counts.
func (s Stats) Plus(t Stats) Stats {
	return Stats{
		s.Simulated + t.Simulated, s.Events + t.Events, s.Frames + t.Frames, s.Lost + t.Lost, s.Refused + t.Refused,
		s.Turns + t.Turns, s.Commits + t.Commits, s.Elections + t.Elections,
		s.Crashes + t.Crashes, s.Stops + t.Stops, s.Pauses + t.Pauses, s.Cuts + t.Cuts,
		s.DiskFaults + t.DiskFaults, s.Restarts + t.Restarts, s.Writes + t.Writes, s.Acknowledged + t.Acknowledged, s.Unknown + t.Unknown,
		s.Reads + t.Reads, s.ReadsOK + t.ReadsOK, s.Stale + t.Stale, s.Forwards + t.Forwards, s.Applied + t.Applied, s.Transfers + t.Transfers,
		s.Epochs + t.Epochs, s.Connections + t.Connections, s.Metadata + t.Metadata, s.Conflicts + t.Conflicts, s.Repeated + t.Repeated,
		s.Unanswered + t.Unanswered, s.Followed + t.Followed, s.Quarantined + t.Quarantined, s.Changes + t.Changes,
		s.Joined + t.Joined, s.Left + t.Left, s.Replaced + t.Replaced, s.Ghosts + t.Ghosts, s.Made + t.Made, s.Ended + t.Ended, s.Reports + t.Reports,
		s.Disowned + t.Disowned, s.Created + t.Created, s.Deleted + t.Deleted,
		s.Unfit + t.Unfit, s.Begun + t.Begun, s.Imported + t.Imported, s.TakenBack + t.TakenBack, s.GivenUp + t.GivenUp, s.CutOff + t.CutOff,
		s.SnapshotsMade + t.SnapshotsMade, s.SnapshotsSent + t.SnapshotsSent, s.Resumed + t.Resumed, s.Received + t.Received,
		s.Restored + t.Restored, s.Installed + t.Installed, s.Finished + t.Finished, s.Adopted + t.Adopted, s.Asked + t.Asked,
		s.Rotten + t.Rotten, s.Broken + t.Broken, s.Flipped + t.Flipped, s.Corrupt + t.Corrupt, s.Struck + t.Struck, s.TakenOver + t.TakenOver, s.Spaceless + t.Spaceless,
		s.Powerless + t.Powerless, s.SnapshotBytes + t.SnapshotBytes,
	}
}

// String tells the counts in a few lines.
func (s Stats) String() string {
	return fmt.Sprintf("%v simulated; %d events, %d turns, %d commits; %d frames (%d lost, %d refused by the fence), %d connections, %d forwards\n"+
		"%d elections, %d epochs, %d transfers, %d changes of membership; %d crashes, %d stops, %d pauses, %d cuts, %d disk faults, %d quarantined, %d starts\n"+
		"%d writes tried (%d acknowledged, %d unknown, %d repeated, %d conflicts), %d commands applied first; %d reads (%d answered, %d stale, %d of one's own write elsewhere); %d metadata commands\n"+
		"%d joined, %d removed, %d disks replaced, %d lost ones came back (%d frames disowned); %d replicas made, %d ended, %d reports; %d groups created, %d deleted\n"+
		"%d exports unfit, %d imports begun, %d made, %d taken back, %d given up, %d cut off\n"+
		"%d snapshots made (%d asked for), %d sent (%d bytes; %d gone on with, %d whole, %d taken over), %d taken over by machines, %d by logs (%d at a start, %d named there)\n"+
		"%d rotten, %d replicas broken by it, %d damaged on the way (%d found, %d twice), %d without space, %d power cuts",
		s.Simulated.Round(time.Second), s.Events, s.Turns, s.Commits, s.Frames, s.Lost, s.Refused, s.Connections, s.Forwards,
		s.Elections, s.Epochs, s.Transfers, s.Changes, s.Crashes, s.Stops, s.Pauses, s.Cuts, s.DiskFaults, s.Quarantined, s.Restarts,
		s.Writes, s.Acknowledged, s.Unknown, s.Repeated, s.Conflicts, s.Applied, s.Reads, s.ReadsOK, s.Stale, s.Followed, s.Metadata,
		s.Joined, s.Left, s.Replaced, s.Ghosts, s.Disowned, s.Made, s.Ended, s.Reports, s.Created, s.Deleted,
		s.Unfit, s.Begun, s.Imported, s.TakenBack, s.GivenUp, s.CutOff,
		s.SnapshotsMade, s.Asked, s.SnapshotsSent, s.SnapshotBytes, s.Resumed, s.Received, s.TakenOver, s.Restored, s.Installed, s.Finished, s.Adopted,
		s.Rotten, s.Broken, s.Flipped, s.Corrupt, s.Struck, s.Spaceless, s.Powerless)
}
