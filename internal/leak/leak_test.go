package leak

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// verdict is a test that keeps what it is told.
type verdict struct {
	testing.TB
	text string
}

func (v *verdict) Helper()                           {}
func (v *verdict) Errorf(format string, args ...any) { v.text += fmt.Sprintf(format, args...) }

// TestJoinedGoroutinesAreGone: what was joined counts as ended, although the runtime may not have taken it away yet. A
// plain count of goroutines fails here within a few rounds on a busy machine.
func TestJoinedGoroutinesAreGone(t *testing.T) {
	before := Running()
	for range 200 {
		var wg sync.WaitGroup
		for range 2 * runtime.GOMAXPROCS(0) {
			wg.Go(runtime.Gosched)
		}
		wg.Wait()
		before.CheckJoined(t)
	}
}

// TestLeakIsFound: a goroutine that waits is a leak at once when it should have been joined, and at the end of patience
// otherwise; it is named. One that ended meanwhile does not make up for it.
func TestLeakIsFound(t *testing.T) {
	old, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); <-old }()
	before := Running()
	release := make(chan struct{})
	go leaky(release)
	close(old)
	<-ended
	for name, check := range map[string]func(testing.TB){
		"joined":  before.CheckJoined,
		"patient": func(t testing.TB) { before.Check(t, 20*time.Millisecond) },
	} {
		v := &verdict{TB: t}
		check(v)
		if !strings.Contains(v.text, "1 goroutines are left") || !strings.Contains(v.text, "leak.leaky") {
			t.Errorf("%s: told %q", name, v.text)
		}
	}
	time.AfterFunc(10*time.Millisecond, func() { close(release) })
	before.Check(t, lastSteps) // it ends within the patience
}

func leaky(release <-chan struct{}) { <-release }

// TestOpenFileIsFound: a file left open is named, a second descriptor of one that was open before as well.
func TestOpenFileIsFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	open := func() *os.File {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first := open()
	defer first.Close()
	before := Open(t)
	before.Check(t)
	second := open()
	v := &verdict{TB: t}
	before.Check(v)
	if want := path + " is still open, by 1 descriptors"; v.text != want {
		t.Errorf("told %q, want %q", v.text, want)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	before.Check(t)
}
