package client

import (
	"bytes"
	"context"
	"iter"
	"sync"

	"flotilla/client/protocol"
	"flotilla/raft/wire"
)

// ScanOptions narrow a scan. The zero value reads everything, linearizably for each page.
type ScanOptions struct {
	// Limit ends the scan after so many items; 0 is no limit.
	Limit int
	// After starts the scan behind this key.
	After []byte
	// Stale reads pages from whichever node answers.
	Consistency protocol.Consistency
}

// firstPages bounds how many groups are asked for their first page at the same time.
const firstPages = 16

// Scan yields the keys that start with prefix, in order over all groups. It fetches page by page; each page is
// consistent in itself, the whole is not a snapshot. An error, always an *Error, ends it.
func (c *Client) Scan(ctx context.Context, prefix []byte, o ScanOptions) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		cursors, err := c.cursors(ctx, prefix, o)
		if err != nil {
			yield(Item{}, certain("scan", prefix, err))
			return
		}
		for n := 0; o.Limit <= 0 || n < o.Limit; n++ {
			least := leastOf(cursors)
			if least == nil {
				return
			}
			it := least.page.Items[least.at]
			if !yield(Item{Key: it.Key, Value: it.Value, Revision: it.Revision, Group: least.group}, nil) {
				return
			}
			if err := least.advance(ctx); err != nil {
				yield(Item{}, certain("scan", prefix, err))
				return
			}
		}
	}
}

// cursor walks through one group.
type cursor struct {
	client  *Client
	group   wire.GroupID
	request protocol.Request
	page    protocol.Reply
	at      int
}

// cursors returns a cursor at the first item of each group.
func (c *Client) cursors(ctx context.Context, prefix []byte, o ScanOptions) ([]*cursor, error) {
	groups := c.routes.Load().groups
	cursors := make([]*cursor, len(groups))
	errs := make([]error, len(groups))
	places := make(chan struct{}, firstPages)
	var wg sync.WaitGroup
	for i, g := range groups {
		cursors[i] = &cursor{client: c, group: g, request: protocol.Request{
			Kind: protocol.KindScan, Group: g, Consistency: o.Consistency, Key: prefix, After: o.After,
			Limit: min(max(o.Limit, 0), protocol.MaxPageItems),
		}}
		places <- struct{}{}
		wg.Go(func() {
			errs[i] = cursors[i].fetch(ctx)
			<-places
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return cursors, nil
}

// fetch gets the page after request.After.
func (k *cursor) fetch(ctx context.Context) error {
	w := newCall()
	defer w.release()
	if err := k.client.read(ctx, nil, &k.request, w); err != nil {
		return err
	}
	if w.reply.Kind != protocol.ReplyPage || w.reply.More && len(w.reply.Items) == 0 {
		return errUnexpected
	}
	k.page, k.at = w.reply, 0
	return nil
}

// advance moves to the next item, fetching the next page at the end of one.
func (k *cursor) advance(ctx context.Context) error {
	k.at++
	if k.at < len(k.page.Items) || !k.page.More {
		return nil
	}
	k.request.After = k.page.Items[len(k.page.Items)-1].Key
	return k.fetch(ctx)
}

// leastOf returns the cursor with the least key, nil at the end of all.
func leastOf(cursors []*cursor) *cursor {
	var least *cursor
	for _, k := range cursors {
		if k.at >= len(k.page.Items) {
			continue
		}
		if least == nil || bytes.Compare(k.page.Items[k.at].Key, least.page.Items[least.at].Key) < 0 {
			least = k
		}
	}
	return least
}
