package pki

import (
	"fmt"
	"sync"
	"sync/atomic"

	"flotilla/raft/wire"
)

// Source hands out the current credentials and can be told to read them anew (N14). Each new TLS handshake
// uses what is current then; connections that stand are not touched. Safe for concurrent use.
type Source struct {
	current atomic.Pointer[Credentials]
	reload  func() (*Credentials, error)
	mu      sync.Mutex // serializes Reload
}

// NewSource returns a source of fixed credentials, for tests and clusters in one process. Swap replaces them.
func NewSource(c *Credentials) *Source {
	s := &Source{}
	s.reload = func() (*Credentials, error) { return s.Current(), nil }
	s.current.Store(c)
	return s
}

// OpenNode loads a node's directory and returns a source that can reload it.
func OpenNode(dir, cluster string, id wire.NodeID) (*Source, error) {
	return open(func() (*Credentials, error) { return LoadNode(dir, cluster, id) })
}

// OpenClient loads a client's directory and returns a source that can reload it.
func OpenClient(dir, cluster string) (*Source, error) {
	return open(func() (*Credentials, error) { return LoadClient(dir, cluster) })
}

func open(reload func() (*Credentials, error)) (*Source, error) {
	c, err := reload()
	if err != nil {
		return nil, err
	}
	s := &Source{reload: reload}
	s.current.Store(c)
	return s, nil
}

// Current returns the credentials in force.
func (s *Source) Current() *Credentials { return s.current.Load() }

// Reload reads and checks the files again. On an error the old credentials stay in force.
func (s *Source) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.reload()
	if err != nil {
		return fmt.Errorf("reload certificates, the old ones stay in force: %w", err)
	}
	return s.swap(c)
}

// Swap puts c in force. It must be of the same name.
func (s *Source) Swap(c *Credentials) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.swap(c)
}

func (s *Source) swap(c *Credentials) error {
	if err := matchName(c.Name, s.Current().Name, ""); err != nil {
		return fmt.Errorf("swap certificates: %w", err)
	}
	s.current.Store(c)
	return nil
}
