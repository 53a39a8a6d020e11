// Package progress tells people how far a long transfer of bytes has come: size, rate and time left, on one line that changes on a terminal,
// on lines now and then elsewhere. It hides when something is worth saying; how much is through is told by its owner.
//
//	p := progress.New(os.Stderr, progress.Live)
//	defer p.End()
//	p.Moved("group 3", done, total)
//	p.Step("group 3 is saved")
package progress

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// liveEvery is how often a terminal is told how far something has come, and linesEvery a file.
const (
	liveEvery  = 200 * time.Millisecond
	linesEvery = 10 * time.Second
)

// Mode says what it is told to.
type Mode bool

// The modes.
const (
	// Lines is for files and pipes.
	Lines Mode = false
	// Live is for a terminal, where a line can change.
	Live Mode = true
)

// Progress says how far something has come. It is safe for concurrent use.
type Progress struct {
	w    io.Writer
	mode Mode
	now  func() time.Time

	mu struct {
		sync.Mutex
		told time.Time
		// what is under way since when, and how much was through by then: before that others were waited for.
		what  string
		since time.Time
		from  int64
		width int // of the line on the terminal
	}
}

// New returns a Progress that writes to w, whose failures nobody learns of.
func New(w io.Writer, mode Mode) *Progress {
	p := &Progress{w: w, mode: mode, now: time.Now}
	p.mu.told = p.now()
	return p
}

// Moved says that done bytes of about total are through, 0 for nobody knows; what says of what.
func (p *Progress) Moved(what string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, every := p.now(), linesEvery
	if what != p.mu.what {
		p.mu.what, p.mu.since, p.mu.from = what, now, done
	}
	if p.mode == Live {
		every = liveEvery
	}
	if now.Sub(p.mu.told) < every {
		return
	}
	p.mu.told = now
	p.say(what + ": " + pace(done, total, " of about ", done-p.mu.from, now.Sub(p.mu.since)))
}

// Waits says what is waited for, where somebody looks.
func (p *Progress) Waits(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode == Live {
		p.say(text)
	}
}

// Step says that something is done, however short ago something was said.
func (p *Progress) Step(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintln(p.w, text)
	p.mu.told = p.now()
}

// End leaves no half line behind.
func (p *Progress) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

// say writes text, in the place of what was there on a terminal; p.mu is held.
func (p *Progress) say(text string) {
	if p.mode == Lines {
		fmt.Fprintln(p.w, text)
		return
	}
	fmt.Fprintf(p.w, "\r%-*s", p.mu.width, text)
	p.mu.width = len(text)
}

func (p *Progress) clear() {
	if p.mode == Live && p.mu.width > 0 {
		fmt.Fprintf(p.w, "\r%*s\r", p.mu.width, "")
		p.mu.width = 0
	}
}

// barWidth is that of a drawn bar, in characters.
const barWidth = 20

// Bar is like "[##########..........]  50%  1.5 GiB of 3.0 GiB, 30.2 MiB/s, 51s left", where moved of what is done went through in took. A
// total of 0 is one that nobody knows.
func Bar(done, total, moved int64, took time.Duration) string {
	part, percent := 0.0, "   -"
	if total > 0 {
		part = float64(min(max(done, 0), total)) / float64(total)
		percent = fmt.Sprintf("%3d%%", int(100*part)) // 100 is all of it
	}
	full := int(barWidth * part)
	bar := strings.Repeat("#", full) + strings.Repeat(".", barWidth-full)
	return "[" + bar + "] " + percent + "  " + pace(done, total, " of ", moved, took)
}

// pace is like "1.5 GiB of about 3.0 GiB, 30.2 MiB/s, 51s left", where moved of what is done went through in took.
func pace(done, total int64, of string, moved int64, took time.Duration) string {
	text := Size(done)
	if total > done {
		text += of + Size(total)
	}
	if moved == 0 || took < time.Second {
		return text
	}
	rate := float64(moved) / took.Seconds()
	text += ", " + Size(int64(rate)) + "/s"
	if total > done {
		left := time.Duration(float64(total-done) / rate * float64(time.Second))
		text += fmt.Sprintf(", %v left", left.Round(time.Second))
	}
	return text
}

// Size is n bytes for people to read.
func Size(n int64) string {
	for i, unit := range []string{"GiB", "MiB", "KiB"} {
		if size := int64(1) << (30 - 10*i); n >= size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(size), unit)
		}
	}
	return fmt.Sprintf("%d B", n)
}
