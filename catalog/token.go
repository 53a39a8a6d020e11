package catalog

import (
	"bytes"
	"fmt"
	"slices"

	"flotilla/internal/mutant"
	"flotilla/raft/wire"
)

// Token is a join token that can be spent, known by the hash of its secret alone.
type Token struct {
	Hash [32]byte
	// Expires is in seconds since 1970.
	Expires int64
}

// PutToken makes a token known until Expires; those that are out of date at Now are forgotten. A hash is put once: whoever
// repeats it after the token was spent has it spent again. Result.Value is how many there are.
type PutToken struct {
	Hash         [32]byte
	Expires, Now int64
}

// SpendToken uses a token up, once, for Node. A token that is unknown, spent or out of date at Now is refused as unknown.
type SpendToken struct {
	Hash [32]byte
	Now  int64
	Node wire.NodeID
}

// Append implements Change.
func (c PutToken) Append(dst []byte) []byte {
	dst = wire.AppendBytes(header(dst, 3, kindPutToken), c.Hash[:])
	return wire.AppendUint(wire.AppendUint(dst, uint64(c.Expires)), uint64(c.Now))
}

// Append implements Change.
func (c SpendToken) Append(dst []byte) []byte {
	dst = wire.AppendBytes(header(dst, 3, kindSpendToken), c.Hash[:])
	return wire.AppendUint(wire.AppendUint(dst, uint64(c.Now)), uint64(c.Node))
}

func readTokenChange(r *wire.Reader, kind uint64) (Change, int) {
	hash := readHash(r)
	if kind == kindPutToken {
		return PutToken{Hash: hash, Expires: readSeconds(r), Now: readSeconds(r)}, 3
	}
	return SpendToken{Hash: hash, Now: readSeconds(r), Node: wire.NodeID(r.UintMax(uint64(wire.MaxNodeID)))}, 3
}

func readHash(r *wire.Reader) (h [32]byte) {
	b := r.Bytes()
	if copy(h[:], b); len(b) != len(h) {
		r.Fail("hash of a token", wire.ErrInvalid)
	}
	return h
}

func readSeconds(r *wire.Reader) int64 { return int64(r.UintMax(wire.MaxNumber)) }

// validTokens checks that tokens are sorted and each is there once: one that is there twice could be spent twice.
func validTokens(tokens []Token) error {
	for i := range tokens {
		if i > 0 && bytes.Compare(tokens[i-1].Hash[:], tokens[i].Hash[:]) >= 0 {
			return fmt.Errorf("token %d of %d is out of order", i, len(tokens))
		}
	}
	if len(tokens) > maxTokens {
		return fmt.Errorf("%d tokens, %d at most", len(tokens), maxTokens)
	}
	return nil
}

func (c PutToken) apply(s *Snapshot, _ wire.Term) Result {
	if slices.Contains(s.Tokens, Token{Hash: c.Hash, Expires: c.Expires}) && c.Expires > c.Now {
		return Result{Unchanged, uint64(len(s.Tokens))}
	}
	kept := slices.DeleteFunc(slices.Clone(s.Tokens), func(t Token) bool { return t.Expires <= c.Now || t.Hash == c.Hash })
	if c.Expires <= c.Now || len(kept) >= maxTokens {
		return Result{RefusedInvalid, uint64(len(kept))}
	}
	s.Tokens = append(kept, Token{Hash: c.Hash, Expires: c.Expires})
	slices.SortFunc(s.Tokens, func(a, b Token) int { return bytes.Compare(a.Hash[:], b.Hash[:]) })
	return Result{Done, uint64(len(s.Tokens))}
}

func (c SpendToken) apply(s *Snapshot, _ wire.Term) Result {
	i := slices.IndexFunc(s.Tokens, func(t Token) bool { return t.Hash == c.Hash })
	if i < 0 || s.Tokens[i].Expires <= c.Now {
		return Result{RefusedUnknown, uint64(c.Node)}
	}
	if !mutant.Is(mutant.SpendTwice) {
		s.Tokens = slices.Delete(slices.Clone(s.Tokens), i, i+1)
	}
	return Result{Done, uint64(c.Node)}
}

func appendTokens(b []byte, s *Snapshot) []byte {
	b = wire.AppendArray(b, len(s.Tokens))
	for _, t := range s.Tokens {
		b = wire.AppendUint(wire.AppendBytes(wire.AppendArray(b, 2), t.Hash[:]), uint64(t.Expires))
	}
	return b
}

func readTokens(r *wire.Reader, s *Snapshot) {
	for range r.ArrayLen(maxTokens) {
		r.Array(2)
		t := Token{Hash: readHash(r), Expires: readSeconds(r)}
		if r.Err() != nil {
			return
		}
		s.Tokens = append(s.Tokens, t)
	}
}
