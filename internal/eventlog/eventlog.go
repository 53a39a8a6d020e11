// Package eventlog writes the typed events of the lower storeys as structured log lines: the event's type becomes
// the message, each of its fields an attribute, so that operators filter by field and events need no logging code.
//
//	eventlog.Write(log, slog.LevelWarn, "raft", multiraft.DiskFull{Err: err}) // msg="raft: disk full" error="..."
package eventlog

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"unicode"
)

// Write logs event, a struct, as coming from source. A field named FreeBytes is logged as free_bytes, Err as error like everywhere
// in the log; a struct among them is a group of its fields. No error and an empty list say nothing and are left out.
func Write(log *slog.Logger, level slog.Level, source string, event any) {
	v := reflect.ValueOf(event)
	log.LogAttrs(context.Background(), level, source+": "+words(v.Type().Name(), ' '), fields(v)...)
}

func fields(v reflect.Value) []slog.Attr {
	attrs := make([]slog.Attr, 0, v.NumField())
	for i := range v.NumField() {
		name, f := words(v.Type().Field(i).Name, '_'), v.Field(i)
		if name == "err" {
			name = "error"
		}
		switch kind := f.Kind(); {
		case kind == reflect.Interface && f.IsNil(), kind == reflect.Slice && f.Len() == 0:
		case kind == reflect.Struct && isPlain(f.Type()):
			attrs = append(attrs, slog.GroupAttrs(name, fields(f)...))
		default:
			attrs = append(attrs, slog.Any(name, f.Interface()))
		}
	}
	return attrs
}

// isPlain reports whether a struct is no more than its fields: all may be seen, and it does not say itself how it reads.
func isPlain(t reflect.Type) bool {
	for field := range t.Fields() {
		if !field.IsExported() {
			return false
		}
	}
	return !t.Implements(reflect.TypeFor[fmt.Stringer]()) && !t.Implements(reflect.TypeFor[error]())
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
