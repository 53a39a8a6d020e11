package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"flotilla/client"
	"flotilla/client/protocol"

	"github.com/urfave/cli/v2"
)

func kvCommand(sh *shell) *cli.Command {
	expect := func() cli.Flag {
		return text("expect-revision", "", "only if the key has revision `N`, which counts the writes of its group; 0: only if it does not exist")
	}
	consistency := func() cli.Flag { return text("consistency", "linearizable", "`LEVEL`: linearizable or stale") }
	return &cli.Command{
		Name: "kv", Usage: "write and read keys",
		Subcommands: []*cli.Command{
			{Name: "put", Usage: "set KEY to VALUE; - reads it from stdin", ArgsUsage: "KEY VALUE", Flags: clientFlags(expect()), Action: action(kvPut(sh))},
			{Name: "get", Usage: "read KEY; -o raw writes the bytes alone", ArgsUsage: "KEY", Flags: clientFlags(consistency()), Action: action(kvGet(sh))},
			{Name: "del", Usage: "delete KEY", ArgsUsage: "KEY", Flags: clientFlags(expect()), Action: action(kvDel(sh))},
			{
				Name: "scan", Usage: "list the keys that begin with PREFIX ('' for all), in order over all groups", ArgsUsage: "PREFIX",
				Flags: clientFlags(text("limit", "0", "`N` keys at most; 0: all"), consistency()), Action: action(kvScan(sh)),
			},
		},
	}
}

// expected reads --expect-revision.
func (s *settings) expected() (client.Revision, bool) {
	return client.Revision(s.number("expect-revision", 0, math.MaxInt64)), s.text("expect-revision") != ""
}

// key checks a key on this side already: an empty one makes no sense to any server.
func (s *settings) key() []byte {
	k := []byte(s.args[0])
	if len(k) == 0 || len(k) > protocol.MaxKeyBytes {
		s.faults = append(s.faults, fmt.Errorf("the key has %d bytes: 1 to %d", len(k), protocol.MaxKeyBytes))
	}
	return k
}

// value returns the second argument, or stdin for "-".
func (s *settings) value(sh *shell) []byte {
	value := []byte(s.args[1])
	if s.args[1] == "-" {
		var err error
		if value, err = io.ReadAll(io.LimitReader(sh.in, protocol.MaxValueBytes+1)); err != nil {
			s.faults = append(s.faults, fmt.Errorf("read the value from stdin: %w", err))
		}
	}
	if len(value) > protocol.MaxValueBytes {
		s.faults = append(s.faults, fmt.Errorf("the value is larger than %d bytes", protocol.MaxValueBytes))
	}
	return value
}

func kvPut(sh *shell) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		key, value := s.key(), s.value(sh)
		revision, only := s.expected()
		s.output(sh)
		return withClient(ctx, sh, s, func(ctx context.Context, c connection) error {
			var r client.Result
			var err error
			if only {
				r, err = c.PutIf(ctx, key, value, revision)
			} else {
				r, err = c.Put(ctx, key, value)
			}
			if err != nil {
				return err
			}
			if c.mode == "json" {
				return printJSON(sh.out, struct {
					Key         string          `json:"key"`
					KeyEncoding string          `json:"key_encoding,omitempty"`
					Revision    client.Revision `json:"revision"`
					Group       uint64          `json:"group"`
					Epoch       uint64          `json:"epoch"`
				}{protocol.AsText(key), protocol.EncodingOf(key), r.Revision, uint64(r.Group), r.Epoch})
			}
			_, err = fmt.Fprintf(sh.out, "%s: revision %d in group %d\n", printable(key), r.Revision, r.Group)
			return err
		})
	}
}

func kvGet(sh *shell) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		key, stale := s.key(), s.oneOf("consistency", "linearizable", "stale") == "stale"
		s.output(sh, "raw")
		return withClient(ctx, sh, s, func(ctx context.Context, c connection) error {
			read := c.Get
			if stale {
				read = c.GetStale
			}
			item, err := read(ctx, key)
			if err != nil {
				return err
			}
			switch c.mode {
			case "json":
				return printJSON(sh.out, itemJSON(item))
			case "raw":
				_, err = sh.out.Write(item.Value)
			default:
				_, err = fmt.Fprintf(sh.out, "%s\n", printable(item.Value))
			}
			return err
		})
	}
}

func kvDel(sh *shell) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		key := s.key()
		revision, only := s.expected()
		s.output(sh)
		return withClient(ctx, sh, s, func(ctx context.Context, c connection) error {
			var r client.Result
			var err error
			if only {
				r, err = c.DeleteIf(ctx, key, revision)
			} else {
				r, err = c.Delete(ctx, key)
			}
			if err != nil {
				return err
			}
			if c.mode == "json" {
				return printJSON(sh.out, struct {
					Key         string          `json:"key"`
					KeyEncoding string          `json:"key_encoding,omitempty"`
					Deleted     bool            `json:"deleted"`
					Revision    client.Revision `json:"revision"`
				}{protocol.AsText(key), protocol.EncodingOf(key), true, r.Revision})
			}
			_, err = fmt.Fprintf(sh.out, "%s: deleted at revision %d\n", printable(key), r.Revision)
			return err
		})
	}
}

func kvScan(sh *shell) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		o := client.ScanOptions{Limit: int(s.number("limit", 0, math.MaxInt32))}
		if s.oneOf("consistency", "linearizable", "stale") == "stale" {
			o.Consistency = protocol.Stale
		}
		s.output(sh)
		return withClient(ctx, sh, s, func(ctx context.Context, c connection) error {
			t := newTable(sh.out, "key", "value", "revision", "group")
			for item, err := range c.Scan(ctx, []byte(s.args[0]), o) {
				if err != nil {
					return err
				}
				if c.mode != "json" {
					t.row(printable(item.Key), printable(item.Value), item.Revision, item.Group)
				} else if err := printJSON(sh.out, itemJSON(item)); err != nil {
					return err
				}
			}
			if c.mode == "json" {
				return nil
			}
			return t.flush()
		})
	}
}

// itemJSON is an item as scripts see it: key and value are base64 when they are not UTF-8, each by itself.
func itemJSON(i client.Item) any {
	return struct {
		Key         string          `json:"key"`
		KeyEncoding string          `json:"key_encoding,omitempty"`
		Value       string          `json:"value"`
		Encoding    string          `json:"encoding,omitempty"`
		Revision    client.Revision `json:"revision"`
		Group       uint64          `json:"group"`
	}{protocol.AsText(i.Key), protocol.EncodingOf(i.Key), protocol.AsText(i.Value), protocol.EncodingOf(i.Value), i.Revision, uint64(i.Group)}
}

// printable is b for a terminal: control characters and broken text are quoted, letters of any script are not.
func printable(b []byte) string {
	q := fmt.Sprintf("%q", b)
	if utf8.Valid(b) && q == `"`+string(b)+`"` {
		return string(b)
	}
	return q
}
