package progress

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestPace: size, rate and time left, each once it is known.
func TestPace(t *testing.T) {
	for _, c := range []struct {
		done, total, moved int64
		took               time.Duration
		want               string
	}{
		{0, 0, 0, time.Minute, "0 B"},
		{1000, 0, 1000, time.Millisecond, "1000 B"},
		{3 << 19, 3 << 20, 0, time.Hour, "1.5 MiB of about 3.0 MiB"},
		{5 << 19, 3 << 20, 3 << 18, 3 * time.Second, "2.5 MiB of about 3.0 MiB, 256.0 KiB/s, 2s left"},
		{3 << 19, 3 << 20, 3 << 19, 3 * time.Second, "1.5 MiB of about 3.0 MiB, 512.0 KiB/s, 3s left"},
		{5 << 30, 5 << 30, 5 << 30, 10 * time.Second, "5.0 GiB, 512.0 MiB/s"},
		{1 << 20, 1 << 40, 1 << 20, time.Second, "1.0 MiB of about 1024.0 GiB, 1.0 MiB/s, 291h16m15s left"},
	} {
		if got := pace(c.done, c.total, " of about ", c.moved, c.took); got != c.want {
			t.Errorf("%d of %d in %v: %q, want %q", c.done, c.total, c.took, got, c.want)
		}
	}
}

// TestBar: as full as much is through, and no fuller; no percentage of what nobody knows.
func TestBar(t *testing.T) {
	for _, c := range []struct {
		done, total, moved int64
		took               time.Duration
		want               string
	}{
		{0, 0, 0, time.Minute, "[....................]    -  0 B"},
		{0, 1 << 20, 0, time.Minute, "[....................]   0%  0 B of 1.0 MiB"},
		{3 << 19, 3 << 20, 3 << 18, 3 * time.Second, "[##########..........]  50%  1.5 MiB of 3.0 MiB, 256.0 KiB/s, 6s left"},
		{1<<20 - 1, 1 << 20, 1, time.Millisecond, "[###################.]  99%  1024.0 KiB of 1.0 MiB"},
		{5 << 30, 5 << 30, 5 << 30, 10 * time.Second, "[####################] 100%  5.0 GiB, 512.0 MiB/s"},
		{-9, 6, 0, 0, "[....................]   0%  -9 B of 6 B"},
		{9, 6, 9, 0, "[####################] 100%  9 B"},
	} {
		if got := Bar(c.done, c.total, c.moved, c.took); got != c.want {
			t.Errorf("%d of %d in %v: %q, want %q", c.done, c.total, c.took, got, c.want)
		}
	}
}

// TestProgress: one line that changes where somebody looks, lines now and then elsewhere.
func TestProgress(t *testing.T) {
	for _, live := range []Mode{Live, Lines} {
		var out bytes.Buffer
		p := New(&out, live)
		now := time.Now()
		p.now = func() time.Time { return now }
		for i := range int64(100) {
			now = now.Add(100 * time.Millisecond)
			p.Moved("group 1", i<<20, 100<<20)
		}
		p.Step("group 1 is done")
		p.End()
		lines, changes := strings.Count(out.String(), "\n"), strings.Count(out.String(), "\rgroup")
		if live == Live && (lines != 1 || changes != 51) || live == Lines && (lines != 2 || changes != 0) {
			t.Errorf("on a terminal: %t; %d lines, %d changes of one:\n%q", live, lines, changes, out.String())
		}
	}
}
