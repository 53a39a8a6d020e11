package typo

import "testing"

// TestNearest: slips and parts are recognized, other words are not taken for what they are not.
func TestNearest(t *testing.T) {
	known := []string{"serve", "status", "base-port", "data", "get"}
	for given, want := range map[string]string{
		"serv": "serve", "sevre": "serve", "stat": "status", "port": "base-port", "data-dir": "data", "gte": "get",
		"frobnicate": "", "x": "", "": "",
	} {
		if got := Nearest(given, known); got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
	if got := Nearest("serve", nil); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}
