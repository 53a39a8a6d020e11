package flotilla_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"flotilla"
	"flotilla/quictransport/pki"
)

// tally is a replicated counter: each command adds one. What it does not know it refuses in the result: an error would
// take the group out of service.
type tally struct{ n int }

func (t *tally) Apply(batch []flotilla.Command) ([][]byte, error) {
	results := make([][]byte, len(batch))
	for i, c := range batch {
		if string(c.Data) != "one more" {
			results[i] = []byte("refused: unknown command")
			continue
		}
		t.n++
		results[i] = fmt.Appendf(nil, "%d", t.n)
	}
	return results, nil
}

func (t *tally) Query([]byte) ([]byte, error) { return fmt.Appendf(nil, "%d", t.n), nil }

// Example embeds a replicated counter: one node here, three with an InitialCluster of three.
func Example() {
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
		NewMachine: func(flotilla.GroupID) flotilla.StateMachine { return &tally{} },
	})
	must(err)
	select {
	case <-host.Ready():
	case <-host.Failed():
		panic(host.Err())
	}
	result, err := host.Group(1).Propose(ctx, []byte("one more"))
	must(err)
	answer, err := host.Group(1).Query(ctx, nil)
	must(err)
	fmt.Printf("the command made it %s, a read says %s\n", result.Value, answer)
	must(host.Close(ctx))
	// Output: the command made it 1, a read says 1
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
