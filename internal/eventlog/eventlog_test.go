package eventlog

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
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
	if want := `level=WARN msg="log: disk full" group=7 free_bytes=12 err="no space"`; !strings.Contains(out.String(), want) {
		t.Errorf("logged %s want %s", out.String(), want)
	}
}
