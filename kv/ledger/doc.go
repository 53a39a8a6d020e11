// Package ledger is the example of a flotilla.Durable: accounts and transfers between them, kept in a bbolt file. Copy it to begin a
// machine of your own.
//
// It hides how a state, the index it belongs to, and a second state that is still coming in share one file. It guarantees that the
// sum of all balances is that of the deposits whatever crashes in between: each batch of commands is one transaction together
// with its index, and a state that is restored takes the old one's place in one transaction, however many it took to bring it in.
//
// A Book owns the file, for all groups of a node; a Ledger is one group's machine and owned by the loop. The book is opened before the
// node and closed after it:
//
//	book, err := ledger.Open("data/ledger.db")
//	host, err := flotilla.Open(ctx, flotilla.Config{NewMachine: book.Machine, Vet: ledger.Vet, ...})
//	...
//	host.Close(ctx)
//	book.Close()
//
// What it leaves out: bbolt has no checksums of its own data, so a bit that rots on disk is not found (the log and snapshots have
// theirs); and a disk that runs full fails a transaction in the middle, which takes the group out of service here until the
// node is started again. A machine that asks for free space before it begins can return flotilla.ErrNoSpace instead.
package ledger
