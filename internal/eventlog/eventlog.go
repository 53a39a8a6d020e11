// Package eventlog writes the typed events of the lower storeys as structured log lines: the event's type becomes
// the message, each of its fields an attribute, so that operators filter by field and events need no logging code.
//
//	eventlog.Write(log, slog.LevelWarn, "raft", multiraft.DiskFull{Err: err}) // msg="raft diskfull" err="..."
package eventlog

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
)

// Write logs event, a struct, as coming from source. A field named Group is logged as group.
func Write(log *slog.Logger, level slog.Level, source string, event any) {
	v := reflect.ValueOf(event)
	attrs := make([]slog.Attr, 0, v.NumField())
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		attrs = append(attrs, slog.Any(strings.ToLower(name[:1])+name[1:], v.Field(i).Interface()))
	}
	log.LogAttrs(context.Background(), level, source+" "+strings.ToLower(v.Type().Name()), attrs...)
}
