package protocol

import (
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// slowStream is a Stream whose reader takes so many bytes a second.
type slowStream struct {
	rate     int
	taken    int
	deadline time.Time
}

func (s *slowStream) SetWriteDeadline(t time.Time) error {
	s.deadline = t
	return nil
}

func (s *slowStream) Write(p []byte) (int, error) {
	took, left := time.Duration(len(p))*time.Second/time.Duration(s.rate), time.Until(s.deadline)
	<-time.After(min(took, left))
	n := len(p)
	if took > left {
		n = int(left.Seconds() * float64(s.rate))
	}
	if s.taken += n; n < len(p) {
		return n, os.ErrDeadlineExceeded
	}
	return n, nil
}

// TestSlowReaderIsServed: the time of a write is for who takes nothing. A reader of a slow link takes all that was gathered meanwhile,
// however much that is; one that is as good as gone does not.
func TestSlowReaderIsServed(t *testing.T) {
	for rate, want := range map[int]error{1 << 20: nil, 1 << 10: os.ErrDeadlineExceeded} {
		synctest.Test(t, func(t *testing.T) {
			w := NewWriter(16<<20, 10*time.Second)
			total := 0
			for w.Request(&Request{Kind: KindPut, Key: []byte("k"), Value: make([]byte, MaxValueBytes)}) == nil {
				total = w.Backlog()
			}
			w.Close()
			s := &slowStream{rate: rate}
			if err := w.Run(s); err != want || want == nil && s.taken != total {
				t.Errorf("%d bytes a second: %v after %d of %d bytes", rate, err, s.taken, total)
			}
		})
	}
}
