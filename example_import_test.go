package flotilla_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"flotilla"
	"flotilla/quictransport/pki"
)

// portable is a tally whose state can leave it and come back: a Snapshotter.
type portable struct{ tally }

func (p *portable) Freeze() (flotilla.Frozen, error) {
	return frozenCounter{bytes.NewReader(fmt.Appendf(nil, "%d", p.n))}, nil
}

func (p *portable) Restore(_ flotilla.Index, state io.Reader) error {
	var n int
	text, err := io.ReadAll(state)
	if err == nil {
		_, err = fmt.Sscan(string(text), &n)
	}
	if err != nil {
		return errors.Join(err, errors.New("not a tally"))
	}
	p.n = n
	return nil
}

// Example_import saves one group of a running cluster and makes another one of what was saved: a tenant's data as of yesterday, beside
// what has become of it.
func Example_import() {
	dir, err := os.MkdirTemp("", "tally-")
	must(err)
	defer os.RemoveAll(dir)
	ca, err := pki.CreateCA("flotilla")
	must(err)
	bundle, err := ca.IssueNode("flotilla", 1, []string{"127.0.0.1"}, time.Hour)
	must(err)
	must(bundle.WriteDir(filepath.Join(dir, "tls")))

	ctx := context.Background()
	host, err := flotilla.Open(ctx, flotilla.Config{
		Dir: dir, NodeID: 1, Bootstrap: true, Groups: 1, Listen: "127.0.0.1:0",
		NewMachine: func(flotilla.GroupID) flotilla.StateMachine { return &portable{} },
	})
	must(err)
	<-host.Ready()
	count := func(id flotilla.GroupID) {
		_, err := host.Group(id).Propose(ctx, []byte("one more"))
		must(err)
	}
	count(1)
	count(1)
	var saved bytes.Buffer // a file, or an object in a store
	_, err = host.Group(1).Export(ctx, &saved)
	must(err)
	count(1)

	id, err := host.Admin().ImportGroup(ctx, "", &saved)
	must(err)
	for _, g := range []flotilla.GroupID{1, id} {
		answer, err := host.Group(g).Query(ctx, nil)
		must(err)
		fmt.Printf("group %d: %s\n", g, answer)
	}
	must(host.Close(ctx))
	// Output:
	// group 1: 3
	// group 2: 2
}
