package fencemodel

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"flotilla/epoch"
	"flotilla/internal/assert"
	"flotilla/raft/wire"
)

// World says how large a world is and what can go wrong in it.
type World struct {
	// Terms is the number of elections of group 0, Entries that of its committed entries, Crashes that of restarts.
	Terms   wire.Term
	Entries int
	Crashes int
	// Liar is a fourth party with a valid certificate, which stamps its frames as it likes.
	Liar bool
}

// Properties are what every state is held against; docs/model/fence.pml says what each means.
var Properties = []string{
	"OneHolder", "RisesByOne", "SavedTogether", "NeverFalls", "NothingStale", "NoStaleAuthority", "HealsInOneRoundTrip",
	"CatchesUp", "Administrable",
}

// Broken is a property that does not hold, and the way there.
type Broken struct {
	Property, Detail string
	Steps            []string
}

// Error names the property and the steps, the last one last.
func (b *Broken) Error() string {
	return fmt.Sprintf("%s: %s, after:\n  %s", b.Property, b.Detail, strings.Join(b.Steps, "\n  "))
}

// walk is one exploration, breadth first: the way to what is broken is a shortest one.
type walk struct {
	World
	code  *Code
	seen  map[state]arrival
	queue []state
	at    state
	found *Broken
}

// arrival is how a state was first reached.
type arrival struct {
	from state
	step string
}

// Explore visits every state of w and returns how many there are and the first property found broken, nil if all hold.
func (w World) Explore(code Code) (states int, broken *Broken) {
	x := walk{World: w, code: &code, seen: map[state]arrival{{}: {}}, queue: []state{{}}}
	for len(x.queue) > 0 && x.found == nil {
		x.at, x.queue = x.queue[0], x.queue[1:]
		x.log()
		for n := range nodes {
			x.save(n)
			x.restart(n)
			x.frames(n)
			x.heals(n)
		}
		x.calm()
	}
	return len(x.seen), x.found
}

// step takes s in as what follows from the present state.
func (x *walk) step(s state, format string, args ...any) {
	s.sort()
	if _, seen := x.seen[s]; !seen {
		x.seen[s] = arrival{x.at, fmt.Sprintf(format, args...)}
		x.queue = append(x.queue, s)
	}
}

// holds notes that a property is broken in the present state, unless ok.
func (x *walk) holds(property string, ok bool, format string, args ...any) {
	assert.That(slices.Contains(Properties, property), "fencemodel: property %s is not listed", property)
	if ok || x.found != nil {
		return
	}
	x.found = &Broken{Property: property, Detail: fmt.Sprintf(format, args...)}
	for s := x.at; s != (state{}); s = x.seen[s].from {
		x.found.Steps = append([]string{x.seen[s].step}, x.found.Steps...)
	}
}

// log elects, and has the leader commit its bump, once or again, one that was held up since an earlier term, or
// anything else (0).
func (x *walk) log() {
	if s := x.at; s.term < x.Terms {
		s.term++
		x.step(s, "a leader of term %d", s.term)
	}
	for bump := wire.Term(0); x.at.last < x.Entries && x.at.term > 0 && bump <= x.at.term; bump++ {
		s := x.at
		s.log[s.last] = entry{term: s.term, bump: bump}
		s.last++
		x.step(s, "entry %d of term %d with the bump of term %d", s.last, s.term, bump)
	}
}

// save lets node n apply its next entry: the catalog's transaction, then the fence. A crash may come in the transaction or
// between the two.
func (x *walk) save(n int) {
	s := x.at
	before := s.nodes[n].disk
	if before.Applied == wire.Index(s.last) {
		return
	}
	c := s.next(n)
	if x.code.FenceFirst {
		f := s.fence(x.code, n)
		f.Apply(apply(before, c).Epoch)
		s.nodes[n].fence = f.Stamp()
	}
	after := x.code.Save(before, c, false)
	x.holds("RisesByOne", after.Epoch == s.truth(after.Applied), "epoch %d after entry %d, want %d", after.Epoch, after.Applied, s.truth(after.Applied))
	if after.Epoch > before.Epoch {
		i := wire.Index(1) // the entry that raised it
		for ; s.truth(i) < after.Epoch && i < after.Applied; i++ {
		}
		x.holds("OneHolder", s.log[i-1].term == c.Term, "epoch %d belongs to the leaders of terms %d and %d", after.Epoch, s.log[i-1].term, c.Term)
	}
	torn := s
	torn.nodes[n].disk = x.code.Save(before, c, true)
	x.crash(torn, n, "node %v crashes while it saves entry %d", before, c.Index)
	s.nodes[n].disk = after
	x.crash(s, n, "node %v crashes once it has saved entry %d", before, c.Index)
	f := s.fence(x.code, n)
	f.Apply(after.Epoch)
	s.nodes[n].fence = f.Stamp()
	x.step(s, "node %v applies entry %d", before, c.Index)
}

func (x *walk) restart(n int) { x.crash(x.at, n, "node %v crashes", x.at.nodes[n].disk) }

// crash starts node n again from its disk in s.
func (x *walk) crash(s state, n int, format string, args ...any) {
	if s.crashes == x.Crashes {
		return
	}
	s.crashes++
	disk := s.nodes[n].disk
	x.holds("SavedTogether", disk.Epoch == s.truth(disk.Applied), "epoch %d is saved with index %d, want %d", disk.Epoch, disk.Applied, s.truth(disk.Applied))
	x.holds("NeverFalls", disk.Epoch >= s.nodes[n].fence.Applied, "epoch %d was shown, %d is saved", s.nodes[n].fence.Applied, disk.Epoch)
	s.nodes[n].fence = x.code.Restart(disk.Epoch).Stamp()
	x.step(s, format, args...)
}

// frames writes a frame of node n, and lets what is under way or a lie reach it.
func (x *walk) frames(n int) {
	s := x.at
	s.old = s.nodes[n].fence
	x.step(s, "node %v writes a frame", s.nodes[n].disk)
	x.deliver(n, x.at.old, "the old frame")
	if x.Liar {
		for _, lie := range lies(x.at.nodes[n].fence.Applied) {
			x.deliver(n, lie, "a lie")
		}
	}
}

// lies are the stamps that matter to a node with this applied epoch.
func lies(applied epoch.Epoch) []epoch.Stamp {
	var all []epoch.Stamp
	for _, e := range []epoch.Epoch{applied + 1, applied + epoch.MaxJump, applied + epoch.MaxJump + 1, math.MaxUint64} {
		all = append(all, epoch.Stamp{Observed: e}, epoch.Stamp{Observed: e, Applied: e}, epoch.Stamp{Observed: applied, Applied: e})
	}
	return all
}

// deliver lets a frame reach node n: the fence, then, if it is admitted, what is in it.
func (x *walk) deliver(n int, stamp epoch.Stamp, what string) {
	s := x.at
	f, now := s.fence(x.code, n), s.nodes[n].fence.Applied
	if f.Admit(stamp) == nil {
		x.holds("NothingStale", stamp.Observed >= now, "stamp %+v was admitted at epoch %d", stamp, now)
		x.holds("NoStaleAuthority", f.AdmitAuthority(stamp) != nil || stamp.Applied >= now, "the authority of stamp %+v was admitted at epoch %d", stamp, now)
	}
	s.nodes[n].fence = f.Stamp()
	x.step(s, "%s %+v reaches node %v", what, stamp, s.nodes[n].disk)
}

// heals lets node n speak to each other one. Whoever is refused hears the refusal, a stamped frame itself, and speaks again.
func (x *walk) heals(n int) {
	for to := range nodes {
		if to == n {
			continue
		}
		a, b := x.at.fence(x.code, n), x.at.fence(x.code, to)
		before := a.Stamp()
		if b.Admit(before) != nil {
			_ = a.Admit(b.Stamp())
			err := b.Admit(a.Stamp())
			x.holds("HealsInOneRoundTrip", err == nil, "stamp %+v was refused, and after the refusal %+v: %v", before, a.Stamp(), err)
		}
	}
}

// calm follows the present state until nothing moves, with no more elections and crashes, but with the liar if there is
// one. The leader may be the node that has applied least or the one that has applied most: its log has all entries.
func (x *walk) calm() {
	for _, lead := range []int{0, nodes - 1} {
		x.follow(x.at, lead)
	}
}

// follow lets each node apply what the leader sends it while each hears the other.
func (x *walk) follow(s state, lead int) {
	var fences [nodes]Fence
	for n := range fences {
		fences[n] = s.fence(x.code, n)
	}
	for range 2 + 2*x.Entries {
		for n, f := range fences {
			if x.Liar {
				_ = f.Admit(epoch.Stamp{Observed: f.Stamp().Applied + epoch.MaxJump})
			}
			heard := fences[lead].Admit(f.Stamp()) == nil
			hears := f.Admit(fences[lead].Stamp()) == nil
			if heard && hears && s.nodes[n].disk.Applied < wire.Index(s.last) {
				s.nodes[n].disk = x.code.Save(s.nodes[n].disk, s.next(n), false)
			}
			f.Apply(s.nodes[n].disk.Epoch)
		}
	}
	for n, f := range fences {
		disk := s.nodes[n].disk
		x.holds("CatchesUp", disk.Applied == wire.Index(s.last) && f.Stamp().Applied == disk.Epoch, "node %+v stays at %+v, the log has %d entries", disk, f.Stamp(), s.last)
		err := fences[lead].AdmitAuthority(f.Stamp())
		x.holds("CatchesUp", err == nil, "forwards stamped %+v stay refused: %v", f.Stamp(), err)
		if !x.Liar {
			x.holds("Administrable", f.Administrable() == nil, "%v", f.Administrable())
		}
	}
}
