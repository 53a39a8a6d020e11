package check

import "fmt"

// Attempt is one try of one operation. Every try has a command of its own.
type Attempt struct {
	Op     int
	Number int
}

// Outcomes: a request that was answered with "not applied" is never applied (N7).
type Outcomes struct {
	refused, applied map[Attempt]bool
}

// Refused is told that an attempt was answered with a code that says "not applied".
func (c *Outcomes) Refused(a Attempt, code fmt.Stringer) error {
	if c.refused == nil {
		c.refused = map[Attempt]bool{}
	}
	c.refused[a] = true
	if c.applied[a] {
		return fmt.Errorf("try %d of operation %d was applied and is answered %q", a.Number, a.Op, code)
	}
	return nil
}

// Applied is told that a machine was given an attempt's command.
func (c *Outcomes) Applied(a Attempt) error {
	if c.applied == nil {
		c.applied = map[Attempt]bool{}
	}
	c.applied[a] = true
	if c.refused[a] {
		return fmt.Errorf("try %d of operation %d was answered as not applied, and is applied", a.Number, a.Op)
	}
	return nil
}
