package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"flotilla/client/protocol"
)

// trickle is a body that comes over a slow link.
type trickle struct {
	left  int
	every time.Duration // a piece
}

func (b *trickle) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	<-time.After(b.every)
	n := min(len(p), b.left, 64<<10)
	b.left -= n
	return n, nil
}

// TestSlowUpload: the time that a value takes to come is not the time that the groups have: a link on which the listener waits for a
// whole value can have it written.
func TestSlowUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(&fakeHost{id: 1, b: newBackend(1)}, Config{}, defaultLimits())
		w := httptest.NewRecorder()
		body := &trickle{left: protocol.MaxValueBytes, every: 2 * httpTimeout / (protocol.MaxValueBytes / (64 << 10))}
		s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/v1/kv/a", body))
		if w.Code != http.StatusOK {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
