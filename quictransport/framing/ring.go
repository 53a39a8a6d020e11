package framing

// Ring keeps the elements of the latest forward frames, so that one refused by the fence can be written again.
// Bounded in frames and bytes; the oldest go first. It is not safe for
// concurrent use; its lane's mutex guards it.
type Ring struct {
	slots [resendFrames]resendSlot
	// oldest and next are frame numbers; slots hold [oldest, next).
	oldest, next uint64
	bytes        int
}

type resendSlot struct {
	count    int
	elements []byte
}

// resendKeep is the largest slot memory that is used again.
const resendKeep = 4 << 10

// Keep remembers frame seq, which must be one more than the last.
func (r *Ring) Keep(seq uint64, count int, elements []byte) {
	if r.next == 0 {
		r.oldest, r.next = seq, seq
	}
	for r.oldest < r.next && (r.next-r.oldest == resendFrames || r.bytes+len(elements) > resendBytes) {
		r.drop(r.oldest)
		r.oldest++
	}
	slot := r.slot(seq)
	if len(elements) <= resendBytes {
		slot.count = count
		slot.elements = append(slot.elements[:0], elements...)
		r.bytes += len(elements)
	}
	r.next = seq + 1
}

// Take returns frame seq and forgets it. The elements are valid until the next call of Keep.
func (r *Ring) Take(seq uint64) (count int, elements []byte, ok bool) {
	if seq < r.oldest || seq >= r.next {
		return 0, nil, false
	}
	slot := r.slot(seq)
	count, elements = slot.count, slot.elements
	r.drop(seq)
	return count, elements, count > 0
}

func (r *Ring) slot(seq uint64) *resendSlot { return &r.slots[seq%resendFrames] }

func (r *Ring) drop(seq uint64) {
	slot := r.slot(seq)
	r.bytes -= len(slot.elements)
	slot.count = 0
	slot.elements = slot.elements[:0]
	if cap(slot.elements) > resendKeep {
		slot.elements = nil
	}
}
