//go:build !invariants

package assert

// Costly says whether expensive invariants are to be checked.
const Costly = false
