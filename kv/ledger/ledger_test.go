package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
	"time"

	"go.etcd.io/bbolt"

	"flotilla"
	"flotilla/raft/multiraft"
	"flotilla/raft/multiraft/machinetest"
)

const group = 5

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens the book at path until the test ends, or is closed before.
func open(t testing.TB, path string) *Book {
	t.Helper()
	b, err := Open(path)
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	return b
}

// fresh returns an empty ledger in a book of its own.
func fresh(t testing.TB) *Ledger {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "ledger.db")).ledger(group)
}

// copied opens what a kill at this moment leaves behind. Between two transactions, a file is what the kernel has of it.
func copied(t testing.TB, b *Book) *Book {
	t.Helper()
	image, err := os.ReadFile(b.db.Path())
	must(t, err)
	path := filepath.Join(t.TempDir(), "ledger.db")
	must(t, os.WriteFile(path, image, 0o600))
	return open(t, path)
}

// some makes up a command about few accounts and small amounts, so that accounts empty themselves and there is too little in them.
func some(rng *rand.Rand) []byte {
	to, amount := Account(rng.IntN(60)), Amount(rng.IntN(30))
	switch rng.IntN(8) {
	case 0:
		return AppendDeposit(nil, to, math.MaxUint64-Amount(rng.IntN(100)))
	case 1, 2:
		return AppendDeposit(nil, to, amount)
	}
	return AppendTransfer(nil, Account(rng.IntN(60)), to, amount)
}

// TestContract: the example keeps what it shows (D2, D19).
func TestContract(t *testing.T) {
	machinetest.Run(t, machinetest.Harness{
		New:     func(t testing.TB) multiraft.Snapshotter { return fresh(t) },
		Command: some,
		Query:   func(rng *rand.Rand) []byte { return AppendQuery(nil, Account(rng.IntN(60))) },
		Reopen: func(t testing.TB, m multiraft.Snapshotter) (multiraft.Snapshotter, flotilla.Index) {
			old := m.(*Ledger).book
			path := old.db.Path()
			must(t, old.Close())
			l := open(t, path).ledger(group)
			return l, l.Applied()
		},
		Crash: func(t testing.TB, m multiraft.Snapshotter) (multiraft.Snapshotter, flotilla.Index) {
			l := copied(t, m.(*Ledger).book).ledger(group)
			return l, l.Applied()
		},
	})
}

func command(i flotilla.Index, data []byte) flotilla.Command {
	return flotilla.Command{Index: i, Term: 1, Data: data}
}

func do(t testing.TB, l *Ledger, data ...[]byte) [][]byte {
	t.Helper()
	var batch []flotilla.Command
	for i, d := range data {
		batch = append(batch, command(l.Applied()+1+flotilla.Index(i), d))
	}
	results, err := l.Apply(batch)
	must(t, err)
	return results
}

func result(s Status, balance uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{byte(s)}, balance)
}

// state returns the bytes of l's state, and the sum of its balances.
func state(t testing.TB, l *Ledger) (b []byte, sum uint64) {
	t.Helper()
	f, err := l.Freeze()
	must(t, err)
	var out bytes.Buffer
	_, err = f.WriteTo(&out)
	must(t, errors.Join(err, f.Close()))
	for at := stateHeadSize; at < out.Len(); at += stateItemSize {
		sum += binary.BigEndian.Uint64(out.Bytes()[at+8:])
	}
	return out.Bytes(), sum
}

func TestCommands(t *testing.T) {
	l := fresh(t)
	for i, got := range do(t, l,
		AppendDeposit(nil, 1, 100), AppendTransfer(nil, 1, 2, 30), AppendTransfer(nil, 1, 2, 71), AppendTransfer(nil, 9, 1, 1),
		AppendTransfer(nil, 1, 1, 70), AppendTransfer(nil, 1, 1, 71), AppendDeposit(nil, 2, math.MaxUint64-30), AppendDeposit(nil, 2, math.MaxUint64-29),
		AppendTransfer(nil, 2, 1, 30), AppendTransfer(nil, 1, 3, 100), AppendDeposit(nil, 7, 0), AppendTransfer(nil, 3, 2, 60),
	) {
		if want := [][]byte{
			result(Done, 100), result(Done, 70), result(Short, 70), result(Short, 0),
			result(Done, 70), result(Short, 70), result(Done, math.MaxUint64), result(Full, math.MaxUint64),
			result(Done, math.MaxUint64-30), result(Done, 0), result(Done, 0), result(Full, 100),
		}[i]; !bytes.Equal(got, want) {
			t.Errorf("command %d: %x, want %x", i, got, want)
		}
	}
	if answer, err := l.Query(AppendQuery(nil, 3)); err != nil || binary.BigEndian.Uint64(answer) != 100 {
		t.Errorf("account 3: %x, %v", answer, err)
	}
	if b, _ := state(t, l); len(b) != stateHeadSize+2*stateItemSize {
		t.Errorf("accounts that have nothing are kept: %x", b)
	}
	if _, err := l.Query([]byte("?")); err == nil {
		t.Error("a request that is none was answered")
	}
	for _, bad := range [][]byte{nil, {version, opDeposit}, append([]byte{2}, AppendDeposit(nil, 1, 1)[1:]...), append([]byte{1, 3}, AppendDeposit(nil, 1, 1)[2:]...)} {
		if Vet(bad) == nil {
			t.Errorf("%x gets into the log", bad)
		}
	}
}

// TestBatchThatFailsIsLeftOut: nothing of it is there, and nothing more is taken before a restart.
func TestBatchThatFailsIsLeftOut(t *testing.T) {
	l := fresh(t)
	do(t, l, AppendDeposit(nil, 1, 5))
	before, _ := state(t, l)
	if _, err := l.Apply([]flotilla.Command{command(2, AppendDeposit(nil, 1, 5)), command(3, []byte("?"))}); err == nil {
		t.Fatal("applied what cannot be understood")
	}
	if _, err := l.Apply([]flotilla.Command{command(2, AppendDeposit(nil, 1, 5))}); err == nil {
		t.Error("goes on after a batch that failed")
	}
	again := l.book.ledger(group)
	if now, _ := state(t, again); !bytes.Equal(now, before) || again.Applied() != 1 {
		t.Errorf("started again: %x as of %d", now, again.Applied())
	}
}

// TestKilledBetweenTransactions: killed after any transaction of batches, restores and the end of a replica, the file holds a state that
// was, with its index; money is neither made nor lost (D2, D18, D19).
func TestKilledBetweenTransactions(t *testing.T) {
	const money = 1 << 40
	source := fresh(t)
	for range 5 { // several transactions of a restore
		var deposits [][]byte
		for range restoreBatch / 2 {
			deposits = append(deposits, AppendDeposit(nil, Account(source.head.accounts+uint64(len(deposits))), 1))
		}
		do(t, source, deposits...)
	}
	do(t, source, AppendDeposit(nil, 1<<50, money-5*restoreBatch/2))
	large, _ := state(t, source)
	other := fresh(t)
	do(t, other, AppendDeposit(nil, 1, 5))
	small, _ := state(t, other)

	l := fresh(t)
	was := map[flotilla.Index][]byte{}
	note := func() { was[l.Applied()], _ = state(t, l) }
	note()
	kills := 0
	l.book.committed = func() {
		kills++
		b := copied(t, l.book)
		found := b.ledger(group)
		got, sum := state(t, found)
		if want, ever := was[found.Applied()]; !ever || !bytes.Equal(got, want) {
			t.Fatalf("killed after transaction %d: a state as of %d that never was", kills, found.Applied())
		}
		if sum != money && found.Applied() > 0 {
			t.Fatalf("killed after transaction %d: %d in all", kills, sum)
		}
		if kills%5 == 0 { // whatever it is, it can be replaced
			must(t, found.Restore(1<<40, bytes.NewReader(small)))
			if got, _ := state(t, found); !bytes.Equal(got, small) {
				t.Fatalf("killed after transaction %d, and restored to another state", kills)
			}
		}
		must(t, b.Close())
	}
	rng := rand.New(rand.NewPCG(1, 2))
	next := flotilla.Index(1)
	apply := func(n int) {
		var batch []flotilla.Command
		for range n {
			data := AppendTransfer(nil, Account(rng.IntN(9)), Account(rng.IntN(9)), Amount(rng.IntN(1000)))
			if next == 1 {
				data = AppendDeposit(nil, 3, money)
			}
			batch = append(batch, command(next, data))
			next++
		}
		// What the state will be is known before the kill that may find it: from a twin.
		twin := copied(t, l.book).ledger(group)
		_, err := twin.Apply(batch)
		must(t, err)
		was[twin.Applied()], _ = state(t, twin)
		_, err = l.Apply(batch)
		must(t, err)
	}
	restore := func(r io.Reader, fails bool) {
		next += 10
		was[next] = large
		if err := l.Restore(next, r); (err != nil) != fails {
			t.Fatalf("restore: %v", err)
		}
		if fails {
			delete(was, next)
		}
		next++
	}
	for range 2 {
		apply(20)
		apply(1)
		restore(io.MultiReader(bytes.NewReader(large), iotest.ErrReader(errors.New("cut"))), true)
		restore(bytes.NewReader(large), false)
		apply(20)
	}
	if kills < 20 {
		t.Fatalf("%d kills only: a restore is not what this test thinks", kills)
	}
	must(t, l.Close())
	if again := l.book.ledger(group); again.Applied() != 0 {
		t.Errorf("made anew after its end, the replica begins at %d", again.Applied())
	}
}

// TestFrozenStateMakesNobodyWait: while a state is being written for however long, the file grows many times over (D25).
func TestFrozenStateMakesNobodyWait(t *testing.T) {
	l := fresh(t)
	do(t, l, AppendDeposit(nil, 1, 5))
	want, _ := state(t, l)
	f, err := l.Freeze()
	must(t, err)
	info, err := os.Stat(l.book.db.Path())
	must(t, err)
	batch := make([]flotilla.Command, 100_000)
	for i := range batch {
		batch[i] = command(2, AppendDeposit(nil, Account(i), 1))
	}
	applied := make(chan error, 1)
	go func() {
		_, err := l.Apply(batch)
		applied <- err
	}()
	limit := time.NewTimer(time.Minute) // for ever is what is looked for
	defer limit.Stop()
	select {
	case err := <-applied:
		must(t, err)
	case <-limit.C:
		t.Error("Apply waits for a frozen state to be written")
	}
	var got bytes.Buffer
	_, err = f.WriteTo(&got)
	must(t, errors.Join(err, f.Close()))
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("the frozen state has changed")
	}
	if now, err := os.Stat(l.book.db.Path()); err != nil || now.Size() < 4*info.Size() {
		t.Errorf("the file has not grown enough for this to show anything: %v", err)
	}
}

// TestGroupsShareTheFile: what one group does leaves the others alone.
func TestGroupsShareTheFile(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	one, other := b.ledger(1), b.ledger(2)
	do(t, one, AppendDeposit(nil, 1, 5))
	do(t, other, AppendDeposit(nil, 1, 7), AppendDeposit(nil, 2, 7))
	want, _ := state(t, other)
	must(t, one.Restore(9, bytes.NewReader(want)))
	must(t, one.Close())
	if got, _ := state(t, b.ledger(2)); !bytes.Equal(got, want) {
		t.Error("another group's end took this one's accounts")
	}
}

// TestRestoreIsStrict: a state that makes no sense is refused.
func TestRestoreIsStrict(t *testing.T) {
	item := func(account, balance uint64) []byte {
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, account), balance)
	}
	head := func(v byte, n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{v}, n) }
	l := fresh(t)
	for name, b := range map[string][]byte{
		"another version":    head(2, 0),
		"very many accounts": head(1, MaxAccounts+1),
		"twice":              bytes.Join([][]byte{head(1, 2), item(1, 1), item(1, 1)}, nil),
		"out of order":       bytes.Join([][]byte{head(1, 2), item(2, 1), item(1, 1)}, nil),
		"nothing in it":      bytes.Join([][]byte{head(1, 1), item(2, 0)}, nil),
		"too few":            bytes.Join([][]byte{head(1, 2), item(2, 1)}, nil),
		"none":               nil,
	} {
		if err := l.Restore(1, bytes.NewReader(b)); err == nil || l.Applied() != 0 {
			t.Errorf("%s: taken", name)
		}
	}
	must(t, l.Restore(1, bytes.NewReader(bytes.Join([][]byte{head(1, 2), item(0, 1), item(math.MaxUint64, math.MaxUint64)}, nil))))
}

// TestUnknownHead: a ledger of another version is not taken for an empty one.
func TestUnknownHead(t *testing.T) {
	l := fresh(t)
	do(t, l, AppendDeposit(nil, 1, 5))
	must(t, l.book.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(l.name).Put(headKey, []byte{9}) }))
	again := l.book.ledger(group)
	if _, err := again.Apply([]flotilla.Command{command(9, AppendDeposit(nil, 1, 5))}); err == nil {
		t.Error("applied to what is not understood")
	}
	if _, err := again.Freeze(); err == nil {
		t.Error("froze what is not understood")
	}
	if err := again.Restore(10, bytes.NewReader(nil)); err == nil {
		t.Error("restored over what is not understood")
	}
}

// FuzzRestore: no bytes make a ledger panic, and what it takes is what it gives back.
func FuzzRestore(f *testing.F) {
	l := fresh(f)
	do(f, l, AppendDeposit(nil, 1, 100), AppendTransfer(nil, 1, 2, 30))
	good, _ := state(f, l)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append(bytes.Clone(good), 0))
	at := l.Applied()
	f.Fuzz(func(t *testing.T, b []byte) {
		at++
		before, _ := state(t, l)
		want := b
		if err := l.Restore(at, bytes.NewReader(b)); err != nil {
			want = before
		}
		if got, _ := state(t, l); !bytes.Equal(got, want) {
			t.Fatalf("%x is %x now", want, got)
		}
	})
}
