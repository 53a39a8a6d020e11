package catalog

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// holderOf returns the process that holds the lock on path, 0 when it cannot be told. The kernel is asked
// rather than a file with a number in it, which would outlive its writer. See proc_locks(5).
func holderOf(path string) int {
	var st syscall.Stat_t
	if syscall.Stat(path, &st) != nil {
		return 0
	}
	f, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer f.Close()
	inode := ":" + strconv.FormatUint(st.Ino, 10)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// 1: FLOCK ADVISORY WRITE 4711 08:01:1234 0 EOF
		fields := strings.Fields(lines.Text())
		if len(fields) >= 6 && fields[1] == "FLOCK" && strings.HasSuffix(fields[5], inode) {
			pid, _ := strconv.Atoi(fields[4]) // 0 when it is no number: unknown
			return max(pid, 0)
		}
	}
	return 0
}

// unlock releases bbolt's lock on f. Closing f is not enough where bbolt panicked while opening: the map it
// leaves behind keeps the file open, and the lock with it, for as long as the process lives.
func unlock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
