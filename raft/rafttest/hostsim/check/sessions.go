package check

import (
	"fmt"

	"flotilla/kv"
)

// Sessions: a command of a session takes effect once, however often it is repeated (N7, D39). One for each group.
type Sessions struct {
	revision kv.Revision
	done     map[sequence]kv.Result
}

type sequence struct {
	session kv.SessionID
	number  kv.Sequence
}

// Begin is told the revision that the group begins with.
func (c *Sessions) Begin(at kv.Revision) { c.revision = at }

// Applied is told of commands in log order, with what the machine answered.
func (c *Sessions) Applied(cmd *kv.Command, r kv.Result) (effect bool, err error) {
	if cmd.Op != kv.OpPut && cmd.Op != kv.OpDelete {
		return false, nil
	}
	if c.done == nil {
		c.done = map[sequence]kv.Result{}
	}
	effect = r.Status == kv.StatusOK && r.Revision > c.revision
	if effect && r.Revision != c.revision+1 {
		return effect, fmt.Errorf("revision %d follows %d", r.Revision, c.revision)
	}
	s := sequence{cmd.Session, cmd.Sequence}
	was, again := c.done[s]
	switch {
	case again && effect:
		return effect, fmt.Errorf("command %d of session %d takes effect at revision %d, and had at %d", s.number, s.session, r.Revision, was.Revision)
	case again && was != r && r.Status != kv.StatusAcknowledged:
		return effect, fmt.Errorf("command %d of session %d is answered %+v, and was %+v", s.number, s.session, r, was)
	case !again && r.Status == kv.StatusOK && !effect:
		return effect, fmt.Errorf("command %d of session %d is new and is answered with the old revision %d", s.number, s.session, r.Revision)
	}
	if effect {
		c.revision = r.Revision
	}
	if !again {
		c.done[s] = r
	}
	return effect, nil
}
