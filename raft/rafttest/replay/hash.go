package replay

// Hash is a running hash over everything that happens in a run: FNV-1a over 64-bit words instead of bytes, with the high
// bits folded down. NewHash begins one.
type Hash uint64

// NewHash returns the hash of nothing.
func NewHash() Hash { return 14695981039346656037 }

// Word adds v.
func (h *Hash) Word(v uint64) {
	x := (uint64(*h) ^ v) * 1099511628211
	*h = Hash(x ^ x>>29)
}

// Text adds s, with its length.
func (h *Hash) Text(s string) {
	h.Word(uint64(len(s)))
	for i := range len(s) {
		h.Word(uint64(s[i]))
	}
}
