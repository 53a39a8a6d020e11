package check

import "fmt"

// Callers: everybody who asks is answered exactly once, also when the engine stops under them (P7, F35).
type Callers struct {
	waiting map[*int]func() string
}

// Asked is told of a request and returns the name under which it is answered.
func (c *Callers) Asked(what func() string) *int {
	if c.waiting == nil {
		c.waiting = map[*int]func() string{}
	}
	key := new(int)
	c.waiting[key] = what
	return key
}

// Answered is told of an answer.
func (c *Callers) Answered(key *int) error {
	_, waits := c.waiting[key]
	delete(c.waiting, key)
	if *key++; *key > 1 || !waits {
		return fmt.Errorf("a caller is answered %d times, or after its process died", *key)
	}
	return nil
}

// Died is told that a caller's own process died: nobody answers any more.
func (c *Callers) Died(key *int) { delete(c.waiting, key) }

// Over is told that everything has ended.
func (c *Callers) Over() error {
	for _, what := range c.waiting {
		return fmt.Errorf("%d callers were never answered, one of them: %s", len(c.waiting), what())
	}
	return nil
}
