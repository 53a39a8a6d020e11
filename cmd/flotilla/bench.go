package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"flotilla/client"
	"flotilla/internal/histogram"

	"github.com/urfave/cli/v2"
)

func benchCommand(sh *shell) *cli.Command {
	kind := func(name, usage string, reads float64) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage,
			Flags: clientFlags(
				text("clients", "16", "`N` callers at a time"),
				text("value-size", "128", "`BYTES` of a value"),
				text("duration", "10s", "how long to measure, a `DURATION`"),
				text("keys", "1000", "`N` keys to work on"),
				text("groups", "all", "`GROUPS`: all, or a list of group ids"),
			),
			Action: action(func(ctx context.Context, s *settings) error {
				b := bench{
					sh: sh, name: name, reads: reads, clients: int(s.number("clients", 1, 4096)), value: make([]byte, s.bytes("value-size", 0, 1<<20)),
					duration: s.duration("duration", time.Millisecond, 24*time.Hour), keys: int(s.number("keys", 1, 1_000_000)), groups: s.groups(),
				}
				s.output(sh)
				return withClient(ctx, sh, s, b.run)
			}),
		}
	}
	return &cli.Command{
		Name: "bench", Usage: "measure a cluster with writes and reads of keys below bench/",
		Subcommands: []*cli.Command{
			kind("put", "writes only", 0), kind("get", "linearizable reads only", 1), kind("mixed", "half writes, half linearizable reads", 0.5),
		},
	}
}

// groups reads --groups; nil means all.
func (s *settings) groups() []uint64 {
	x := s.find("groups")
	if x.value == "all" {
		return nil
	}
	var ids []uint64
	for part := range strings.SplitSeq(x.value, ",") {
		id, err := strconv.ParseUint(strings.TrimSpace(part), 10, 64)
		if err != nil || id == 0 {
			s.fault(x, "%q is neither all nor a list of data group ids", x.value)
			return nil
		}
		ids = append(ids, id)
	}
	return ids
}

// bench is one measurement.
type bench struct {
	sh       *shell
	name     string
	reads    float64 // share of reads
	clients  int
	value    []byte
	duration time.Duration
	keys     int
	groups   []uint64

	ops, errors atomic.Uint64
}

func (b *bench) run(_ context.Context, c connection) error {
	pool, err := b.prepare(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.base, b.duration)
	defer cancel()
	stop := b.progress(ctx)
	began := time.Now()
	hists := make([]histogram.Histogram, b.clients)
	var wg sync.WaitGroup
	for i := range b.clients {
		wg.Go(func() { b.work(ctx, c, pool, uint64(i), &hists[i]) })
	}
	wg.Wait()
	took := time.Since(began)
	stop()
	interrupted := c.base.Err()
	var all histogram.Histogram
	for i := range hists {
		all.Merge(&hists[i])
	}
	if err := b.report(c, &all, took); err != nil {
		return err
	}
	return interrupted // what was measured until then is printed all the same
}

// prepare writes every key once, so that reads find something and the keys' groups are known.
func (b *bench) prepare(c connection) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(c.base, max(c.timeout, time.Minute))
	defer cancel()
	if err := b.checkGroups(ctx, c); err != nil {
		return nil, err
	}
	for i := range b.value {
		b.value[i] = byte('a' + i%26)
	}
	pool, errs := make([][]byte, b.keys), make([]error, b.clients)
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range b.clients {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < b.keys && errs[w] == nil; i = int(next.Add(1)) - 1 {
				key := fmt.Appendf(nil, "bench/%06d", i)
				r, err := c.Put(ctx, key, b.value)
				if errs[w] = err; err == nil && (b.groups == nil || slices.Contains(b.groups, uint64(r.Group))) {
					pool[i] = key
				}
			}
		})
	}
	wg.Wait()
	pool = slices.DeleteFunc(pool, func(k []byte) bool { return k == nil })
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(pool) == 0 {
		return nil, usagef("see: flotilla group list")("none of %d keys lies in groups %v", b.keys, b.groups)
	}
	return pool, nil
}

// checkGroups refuses groups that the cluster does not have.
func (b *bench) checkGroups(ctx context.Context, c connection) error {
	if b.groups == nil {
		return nil
	}
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	for _, id := range b.groups {
		if !slices.ContainsFunc(st.Groups, func(g client.GroupStatus) bool { return uint64(g.ID) == id }) {
			return usagef("see: flotilla group list")("there is no data group %d", id)
		}
	}
	return nil
}

// work is one caller.
func (b *bench) work(ctx context.Context, c connection, pool [][]byte, seed uint64, h *histogram.Histogram) {
	random := rand.New(rand.NewPCG(seed, uint64(time.Now().UnixNano())))
	for ctx.Err() == nil {
		key := pool[random.IntN(len(pool))]
		began := time.Now()
		op, cancel := context.WithTimeout(c.base, c.timeout) // an operation under way at the end is finished
		var err error
		if random.Float64() < b.reads {
			_, err = c.Get(op, key)
		} else {
			_, err = c.Put(op, key, b.value)
		}
		cancel()
		if err != nil && c.base.Err() != nil {
			return // cut short by a signal: no fault of the cluster
		}
		if err != nil && !errors.Is(err, client.ErrNotFound) {
			b.errors.Add(1)
			continue
		}
		h.Add(time.Since(began))
		b.ops.Add(1)
	}
}

// progress shows the rate once a second on a terminal; stop ends it.
func (b *bench) progress(ctx context.Context) (stop func()) {
	if !b.sh.terminal {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for last, second := uint64(0), 1; ; second++ {
			select {
			case <-ctx.Done():
				fmt.Fprint(b.sh.err, "\r\x1b[K")
				return
			case <-ticker.C:
			}
			now := b.ops.Load()
			fmt.Fprintf(b.sh.err, "\r\x1b[K%3ds  %7d ops/s  %d errors", second, now-last, b.errors.Load())
			last = now
		}
	}()
	return func() { cancel(); <-done }
}

func (b *bench) report(c connection, h *histogram.Histogram, took time.Duration) error {
	rate := float64(h.Count()) / took.Seconds()
	if c.mode == "json" {
		return printJSON(b.sh.out, struct {
			Ops    uint64  `json:"ops"`
			Rate   float64 `json:"ops_per_second"`
			P50    float64 `json:"p50_ms"`
			P99    float64 `json:"p99_ms"`
			Max    float64 `json:"max_ms"`
			Errors uint64  `json:"errors"`
		}{h.Count(), math.Round(10*rate) / 10, ms(h.Quantile(0.5)), ms(h.Quantile(0.99)), ms(h.Max()), b.errors.Load()})
	}
	t := newTable(b.sh.out, "bench", "ops", "ops/s", "p50", "p99", "max", "errors")
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	t.row(b.name, h.Count(), fmt.Sprintf("%.0f", rate), round(h.Quantile(0.5)), round(h.Quantile(0.99)), round(h.Max()), b.errors.Load())
	return t.flush()
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
