// Package eventlog writes the typed events of the lower storeys as structured log lines: the event's type becomes
// the message, each of its fields an attribute, so that operators filter by field and events need no logging code.
//
//	eventlog.Write(log, slog.LevelWarn, "raft", multiraft.DiskFull{Err: err}) // msg="raft: disk full" err="..."
package eventlog

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
	"unicode"
)

// Write logs event, a struct, as coming from source. A field named FreeBytes is logged as free_bytes.
func Write(log *slog.Logger, level slog.Level, source string, event any) {
	v := reflect.ValueOf(event)
	attrs := make([]slog.Attr, 0, v.NumField())
	for i := range v.NumField() {
		attrs = append(attrs, slog.Any(words(v.Type().Field(i).Name, '_'), v.Field(i).Interface()))
	}
	log.LogAttrs(context.Background(), level, source+": "+words(v.Type().Name(), ' '), attrs...)
}

// words writes a Go name as people do, with between its words.
func words(name string, between rune) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteRune(between)
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
