package script

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"flotilla/raft/rafttest"
	"flotilla/raft/wire"
)

// Arg is one argument of a command: a word, or a key with values.
type Arg struct {
	Key  string
	Vals []string
}

// arguments are the arguments of one command.
type arguments []Arg

// words returns the arguments without values, flags of the output level left out.
func (a arguments) words() []string {
	var w []string
	for _, arg := range a {
		if len(arg.Vals) == 0 && !slices.Contains([]string{"quiet", "brief", "full"}, arg.Key) {
			w = append(w, arg.Key)
		}
	}
	return w
}

func (a arguments) flag(name string) bool {
	return slices.ContainsFunc(a, func(arg Arg) bool { return arg.Key == name && len(arg.Vals) == 0 })
}

func (a arguments) values(key string) ([]string, bool) {
	for _, arg := range a {
		if arg.Key == key && len(arg.Vals) > 0 {
			return arg.Vals, true
		}
	}
	return nil, false
}

// text returns the value of key, or def.
func (a arguments) text(key, def string) string {
	if v, ok := a.values(key); ok {
		return v[0]
	}
	return def
}

// number returns the value of key, or def; a value that is no number panics into the transcript's output.
func (a arguments) number(key string, def uint64) uint64 {
	v, ok := a.values(key)
	if !ok {
		return def
	}
	return parseNumber(v[0])
}

// nodes returns the node ids of key.
func (a arguments) nodes(key string) []wire.NodeID {
	vals, _ := a.values(key)
	var ids []wire.NodeID
	for _, v := range vals {
		if v != "" {
			ids = append(ids, wire.NodeID(parseNumber(v)))
		}
	}
	return ids
}

// node returns word i as a node id.
func (a arguments) node(i int) wire.NodeID { return wire.NodeID(parseNumber(a.word(i))) }

func (a arguments) word(i int) string {
	w := a.words()
	if i >= len(w) {
		panic(fmt.Sprintf("argument %d is missing", i+1))
	}
	return w[i]
}

// count returns word i as a number, or def when there are fewer words.
func (a arguments) count(i, def int) int {
	if i >= len(a.words()) {
		return def
	}
	return int(parseNumber(a.word(i)))
}

func parseNumber(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("%q is no number", s))
	}
	return n
}

// matcher returns the test that a selection of packets passes: words like 1->2, and from, to, type, term,
// index, id.
func (a arguments) matcher() func(*packet) bool {
	return func(p *packet) bool {
		m := &p.m
		for _, w := range a.words() {
			if from, to, ok := strings.Cut(w, "->"); ok && (m.From.String() != from || m.To.String() != to) {
				return false
			}
		}
		return a.is("from", uint64(m.From)) && a.is("to", uint64(m.To)) && a.is("term", uint64(m.Term)) &&
			a.is("index", uint64(m.Index)) && a.is("id", uint64(p.number)) && a.is("context", m.Context) &&
			(a.text("type", "") == "" || rafttest.MessageNamed(a.text("type", "")) == m.Type)
	}
}

// is reports whether v is among the values of key, or key is not given.
func (a arguments) is(key string, v uint64) bool {
	vals, ok := a.values(key)
	return !ok || slices.Contains(vals, strconv.FormatUint(v, 10))
}

// changes returns the set of changes in words: kind, node, kind, node; "if" and an index name its base.
func changes(words []string) (wire.ChangeSet, error) {
	var set wire.ChangeSet
	for i := 0; i+1 < len(words); i += 2 {
		kind, number := rafttest.ChangeNamed(words[i]), parseNumber(words[i+1])
		switch {
		case words[i] == "if":
			set.SetBase, set.Base = true, wire.Index(number)
		case kind == 0:
			return set, fmt.Errorf("unknown change %q", words[i])
		default:
			set.Changes = append(set.Changes, wire.Change{Kind: kind, Node: wire.NodeID(number)})
		}
	}
	return set, nil
}

// message builds a message by hand; what is not given is zero, the group is the right one.
func (a arguments) message() wire.Message {
	m := wire.Message{
		Type: rafttest.MessageNamed(a.text("type", "")), Reject: a.flag("reject"),
		Group: wire.GroupID(a.number("group", uint64(rafttest.Group))),
		From:  wire.NodeID(a.number("from", 0)), To: wire.NodeID(a.number("to", 0)),
		Term: wire.Term(a.number("term", 0)), LogTerm: wire.Term(a.number("logterm", 0)),
		Index: wire.Index(a.number("index", 0)), Commit: wire.Index(a.number("commit", 0)),
		Hint: wire.Index(a.number("hint", 0)), HintTerm: wire.Term(a.number("hintterm", 0)),
		Context: a.number("context", 0),
	}
	entries, _ := a.values("entries")
	for _, text := range entries {
		// index@term:data, or index@term:+kind/node/kind/node for a change (see changes)
		place, data, _ := strings.Cut(text, ":")
		index, term, _ := strings.Cut(place, "@")
		e := wire.Entry{Index: wire.Index(parseNumber(index)), Term: wire.Term(parseNumber(term)), Kind: wire.EntryEmpty}
		if words, ok := strings.CutPrefix(data, "+"); ok {
			set, err := changes(strings.Split(words, "/"))
			if err != nil {
				panic(err)
			}
			e.Kind, e.Data = wire.EntryChange, wire.AppendChangeSet(nil, &set)
		} else if data != "" {
			e.Kind, e.Data = wire.EntryData, []byte(data)
		}
		m.Entries = append(m.Entries, e)
	}
	return m
}
