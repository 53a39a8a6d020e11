package ledger_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"flotilla"
	"flotilla/kv/ledger"
	"flotilla/quictransport/pki"
)

// Example runs a ledger on one node, twice: the second start is told nothing of what the book holds.
func Example() {
	dir, err := os.MkdirTemp("", "ledger-")
	must(err)
	defer os.RemoveAll(dir)
	ca, err := pki.CreateCA("flotilla")
	must(err)
	bundle, err := ca.IssueNode("flotilla", 1, []string{"127.0.0.1"}, time.Hour)
	must(err)
	must(bundle.WriteDir(filepath.Join(dir, "tls")))

	run(dir, func(ctx context.Context, g *flotilla.Group) {
		_, err := g.Propose(ctx, ledger.AppendDeposit(nil, 1, 100))
		must(err)
		r, err := g.Propose(ctx, ledger.AppendTransfer(nil, 1, 2, 30))
		must(err)
		fmt.Println("done:", ledger.Status(r.Value[0]) == ledger.Done, "left:", binary.BigEndian.Uint64(r.Value[1:]))
	})
	run(dir, func(ctx context.Context, g *flotilla.Group) {
		answer, err := g.Query(ctx, ledger.AppendQuery(nil, 2))
		must(err)
		fmt.Println("after a restart the other one has", binary.BigEndian.Uint64(answer))
	})
	// Output:
	// done: true left: 70
	// after a restart the other one has 30
}

func run(dir string, do func(context.Context, *flotilla.Group)) {
	ctx := context.Background()
	book, err := ledger.Open(filepath.Join(dir, "ledger.db"))
	must(err)
	host, err := flotilla.Open(ctx, flotilla.Config{
		Dir: dir, NodeID: 1, Bootstrap: true, Groups: 1, Listen: "127.0.0.1:0", NewMachine: book.Machine, Vet: ledger.Vet,
	})
	must(err)
	select {
	case <-host.Ready():
	case <-host.Failed():
		panic(host.Err())
	}
	do(ctx, host.Group(1))
	must(host.Close(ctx))
	must(book.Close())
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
