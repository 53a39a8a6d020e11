//go:build !crashpoints

package crashpoint

// Here is nothing.
func Here(Point) {}
