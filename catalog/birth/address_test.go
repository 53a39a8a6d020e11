package birth

import "testing"

// TestElsewhere: only what the texts show for certain counts, as a wrong warning at each start is one that nobody reads.
func TestElsewhere(t *testing.T) {
	for _, c := range []struct {
		listen, registered string
		want               bool
	}{
		{"127.0.0.1:7400", "127.0.0.1:7400", false},
		{"127.0.0.1:7401", "127.0.0.1:7400", true},
		{"127.0.0.1:7400", "10.0.0.1:7400", true},
		{"0.0.0.0:7400", "10.0.0.1:7400", false},
		{"[::]:7400", "10.0.0.1:7400", false},
		{"[::]:7401", "10.0.0.1:7400", true},
		{"10.0.0.1:7400", "node-1.example.test:7400", false},
		{"10.0.0.1:7401", "node-1.example.test:7400", true},
		{"[::ffff:10.0.0.1]:7400", "10.0.0.1:7400", false},
		{"a pipe", "10.0.0.1:7400", false},
	} {
		if got := Elsewhere(c.listen, c.registered); got != c.want {
			t.Errorf("listening on %s, dialled at %s: %t, want %t", c.listen, c.registered, got, c.want)
		}
	}
}
