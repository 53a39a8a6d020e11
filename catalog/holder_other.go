//go:build !linux

package catalog

// holderOf returns 0: this system does not tell who holds a lock.
func holderOf(string) int { return 0 }
