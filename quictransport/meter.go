package quictransport

import (
	"sync"
	"time"
)

// meter counts events of the current second. Safe for concurrent use.
type meter struct {
	mu     sync.Mutex
	second time.Time
	count  int
}

// over counts one event and reports whether more than limit happened in this second.
func (m *meter) over(limit int) bool {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.second) >= time.Second {
		m.second, m.count = now, 0
	}
	m.count++
	return m.count > limit
}
