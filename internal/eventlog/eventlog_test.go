package eventlog

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

type diskFull struct {
	Group     uint64
	FreeBytes int64
	Err       error
}

// Operators filter log lines by field, so each field of an event is one.
func TestEachFieldIsAnAttribute(t *testing.T) {
	var out bytes.Buffer
	Write(slog.New(slog.NewTextHandler(&out, nil)), slog.LevelWarn, "log", diskFull{Group: 7, FreeBytes: 12, Err: errors.New("no space")})
	if want := `level=WARN msg="log: disk full" group=7 free_bytes=12 error="no space"`; !strings.Contains(out.String(), want) {
		t.Errorf("logged %s want %s", out.String(), want)
	}
}

type made struct {
	Snapshot struct {
		Index  uint64
		Voters []uint64
		Others []uint64
	}
	Took time.Duration
	At   time.Time
	Err  error
}

// A struct within an event is read as its fields, not as Go prints it; what is empty is not there; what has a text of its own keeps it.
func TestStructsAreGroups(t *testing.T) {
	e := made{Took: time.Second, At: time.Unix(0, 0).UTC()}
	e.Snapshot.Index, e.Snapshot.Voters = 7, []uint64{1, 2}
	var text, object bytes.Buffer
	Write(slog.New(slog.NewTextHandler(&text, nil)), slog.LevelInfo, "raft", e)
	if want := "msg=\"raft: made\" snapshot.index=7 snapshot.voters=\"[1 2]\" took=1s at=1970-01-01T00:00:00.000Z\n"; !strings.HasSuffix(text.String(), want) {
		t.Errorf("logged %s want %s", text.String(), want)
	}
	Write(slog.New(slog.NewJSONHandler(&object, nil)), slog.LevelInfo, "raft", e)
	if want := `"snapshot":{"index":7,"voters":[1,2]},"took":1000000000,"at":"1970-01-01T00:00:00Z"}`; !strings.Contains(object.String(), want) {
		t.Errorf("logged %s want %s", object.String(), want)
	}
}
