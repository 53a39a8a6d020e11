// Package diskspace asks for room before something is written. A commit that meets a full disk half way has an unknown
// outcome and fences its file until the next start; one that was not begun can be tried again. What it cannot guarantee is
// that nobody else takes the room meanwhile, so whoever asks leaves a reserve alone.
package diskspace

import (
	"fmt"
	"syscall"
)

// Free is the space left for us on dir's file system, in bytes.
func Free(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// Check asks ask, such as Free, for the space in dir and returns it. Errors: *LowError when it is less than need bytes,
// or what ask said.
func Check(ask func(dir string) (int64, error), dir string, need int64) (free int64, err error) {
	free, err = ask(dir)
	switch {
	case err != nil:
		return 0, fmt.Errorf("ask for free space in %s: %w", dir, err)
	case free < need:
		return free, &LowError{Dir: dir, Free: free, Need: need}
	}
	return free, nil
}

// LowError says that there is less room than needed. Nothing was written.
type LowError struct {
	Dir        string
	Free, Need int64 // bytes
}

// Error names both figures and the next step.
func (e *LowError) Error() string {
	return fmt.Sprintf("%d bytes free, %d needed in %s; make room there", e.Free, e.Need, e.Dir)
}
