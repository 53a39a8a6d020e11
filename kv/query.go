package kv

import (
	"math"
	"strings"

	"flotilla/raft/wire"
)

// queryOp says what a query asks.
type queryOp uint8

// The queries. Numbers never change.
const (
	queryGet   queryOp = 1
	queryScan  queryOp = 2
	queryStats queryOp = 3
)

// Item is one key with its value and the revision of its last write.
type Item struct {
	Key      []byte
	Value    []byte
	Revision Revision
}

// Scan asks for a page of the keys that start with Prefix, in order.
type Scan struct {
	Prefix []byte
	// After is the key to go on after: the last one of the page before, empty for the first page.
	After []byte
	// Limit bounds the items of the page; 0 and anything above MaxPageItems mean MaxPageItems.
	Limit int
}

// Page is a page of a scan.
type Page struct {
	Items []Item
	// More says that there may be further keys after the last item.
	More bool
}

// Stats describes a machine.
type Stats struct {
	Keys     uint64
	Bytes    uint64
	Revision Revision
	Sessions uint64
	// Results is the number of results there is room for in all sessions.
	Results uint64
}

// AppendGet appends a query for one key.
func AppendGet(dst, key []byte) []byte {
	return wire.AppendBytes(appendHead(wire.AppendArray(dst, 3), Op(queryGet)), key)
}

// AppendScan appends a query for a page.
func AppendScan(dst []byte, s Scan) []byte {
	dst = appendHead(wire.AppendArray(dst, 5), Op(queryScan))
	dst = wire.AppendBytes(wire.AppendBytes(dst, s.Prefix), s.After)
	return wire.AppendUint(dst, uint64(max(s.Limit, 0)))
}

// AppendStats appends a query for Stats.
func AppendStats(dst []byte) []byte { return appendHead(wire.AppendArray(dst, 2), Op(queryStats)) }

// Query implements multiraft.StateMachine. Errors are *wire.Error of CodeBadRequest.
func (m *Machine) Query(request []byte) ([]byte, error) {
	var r wire.Reader
	r.Reset(request)
	n := r.ArrayLen(5)
	if version := r.Uint(); r.Err() == nil && version != commandVersion {
		r.Fail("query version", wire.ErrInvalid)
	}
	op := queryOp(r.UintMax(math.MaxUint8))
	switch {
	case op == queryGet && n == 3:
		key := r.Bytes()
		if err := r.Done(); err != nil {
			return nil, badRequest(err)
		}
		return m.get(key), nil
	case op == queryScan && n == 5:
		s := Scan{Prefix: r.Bytes(), After: r.Bytes(), Limit: int(min(r.Uint(), MaxPageItems))}
		if err := r.Done(); err != nil {
			return nil, badRequest(err)
		}
		return m.scan(s), nil
	case op == queryStats && n == 2:
		if err := r.Done(); err != nil {
			return nil, badRequest(err)
		}
		return m.stats(), nil
	}
	r.Fail("query", wire.ErrInvalid)
	return nil, badRequest(r.Err())
}

// get answers [status, revision, value].
func (m *Machine) get(key []byte) []byte {
	it, ok := m.tree.Get(string(key))
	status := StatusNotFound
	if ok {
		status = StatusOK
	}
	dst := make([]byte, 0, len(it.value)+itemOverhead)
	dst = wire.AppendUint(wire.AppendArray(dst, 3), uint64(status))
	dst = wire.AppendUint(dst, uint64(it.revision))
	return appendText(dst, it.value)
}

// scan answers [more, key, value, revision, key, ...].
func (m *Machine) scan(s Scan) []byte {
	limit := s.Limit
	if limit <= 0 || limit > MaxPageItems {
		limit = MaxPageItems
	}
	prefix := string(s.Prefix)
	from := prefix
	if len(s.After) > 0 {
		from = max(prefix, string(s.After)+"\x00") // the least key after After
	}
	var body []byte
	count, more := 0, false
	m.tree.Ascend(from, func(key string, it item) bool {
		if !strings.HasPrefix(key, prefix) {
			return false
		}
		if count == limit || count > 0 && len(body)+len(key)+len(it.value)+itemOverhead > MaxPageBytes {
			more = true
			return false
		}
		body = appendText(appendText(body, key), it.value)
		body = wire.AppendUint(body, uint64(it.revision))
		count++
		return true
	})
	dst := make([]byte, 0, len(body)+8)
	dst = wire.AppendBool(wire.AppendArray(dst, 1+3*count), more)
	return append(dst, body...)
}

// stats answers [keys, bytes, revision, sessions, results].
func (m *Machine) stats() []byte {
	dst := wire.AppendUint(wire.AppendArray(nil, 5), uint64(m.tree.Len()))
	dst = wire.AppendUint(dst, m.bytes)
	dst = wire.AppendUint(dst, uint64(m.revision))
	dst = wire.AppendUint(dst, uint64(len(m.sessions.byID)))
	return wire.AppendUint(dst, uint64(m.sessions.results))
}

// appendText appends s as binary. The conversion copies nothing: the compiler sees that nobody writes to it.
func appendText(dst []byte, s string) []byte { return wire.AppendBytes(dst, []byte(s)) }

// DecodeValue reads the answer to a get; the item's value aliases b, its key is not set. ok is false when the
// key does not exist. Errors are *wire.DecodeError.
func DecodeValue(b []byte) (it Item, ok bool, err error) {
	var r wire.Reader
	r.Reset(b)
	r.Array(3)
	status := Status(r.UintMax(math.MaxUint8))
	it.Revision = Revision(r.Uint())
	it.Value = r.Bytes()
	if err := r.Done(); err != nil {
		return Item{}, false, err
	}
	return it, status == StatusOK, nil
}

// DecodePage reads the answer to a scan; keys and values alias b. Errors are *wire.DecodeError.
func DecodePage(b []byte) (Page, error) {
	var r wire.Reader
	r.Reset(b)
	n := r.ArrayLen(1 + 3*MaxPageItems)
	p := Page{More: r.Bool()}
	if r.Err() == nil && n%3 != 1 {
		r.Fail("page", wire.ErrInvalid)
	}
	if n > 1 {
		p.Items = make([]Item, 0, n/3)
	}
	for range n / 3 {
		p.Items = append(p.Items, Item{Key: r.Bytes(), Value: r.Bytes(), Revision: Revision(r.Uint())})
	}
	if err := r.Done(); err != nil {
		return Page{}, err
	}
	return p, nil
}

// DecodeStats reads the answer to a query for Stats. Errors are *wire.DecodeError.
func DecodeStats(b []byte) (Stats, error) {
	var r wire.Reader
	r.Reset(b)
	r.Array(5)
	s := Stats{Keys: r.Uint(), Bytes: r.Uint(), Revision: Revision(r.Uint()), Sessions: r.Uint(), Results: r.Uint()}
	if err := r.Done(); err != nil {
		return Stats{}, err
	}
	return s, nil
}
