package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"flotilla/client"
	"flotilla/epoch"
	"flotilla/internal/progress"
	"flotilla/raft/wire"
	"flotilla/snapshotstream/archive"
)

func snapshotSave(sh *shell) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		s.output(sh)
		policy := archive.Fresh
		if s.on("force") {
			policy = archive.Replace
		}
		return withClient(ctx, sh, s, func(ctx context.Context, c connection) error {
			st, err := c.Status(ctx)
			if err != nil {
				return err
			}
			m, err := manifestOf(&st)
			if err != nil {
				return err
			}
			f, err := archive.Create(s.args[0], m, policy)
			if err != nil {
				return err
			}
			return c.save(sh, s.args[0], f, m)
		})
	}
}

// save fills f. Not time counts, but that something moves: there may be much to save.
func (c connection) save(sh *shell, path string, f *archive.File, m archive.Manifest) error {
	p := sh.progress()
	defer p.End()
	groups, err := c.Save(c.base, f, func(now client.Saving) { tellSaving(p, &now) })
	if err != nil {
		return errors.Join(savingFault(err), f.Abort())
	}
	p.End()
	return printSummary(sh, c.mode, path, archive.Summary{Manifest: m, Catalog: f.Catalog(), Groups: groups, Sum: f.Sum(), Bytes: f.Bytes()})
}

func tellSaving(p *progress.Progress, now *client.Saving) {
	what := fmt.Sprintf("group %d (%d of %d)", now.Header.Group, now.Nth, now.Of)
	switch {
	case now.Header.Index == 0:
		p.Waits(what + ": the node that leads it writes its snapshot")
	case now.Saved:
		p.Step(fmt.Sprintf("%s: %s at index %d", what, progress.Size(int64(now.Header.BodyLength)), now.Header.Index))
	default:
		p.Moved(what, now.Done, now.Total)
	}
}

// savingFault says what to do about a group that is gone.
func savingFault(err error) error {
	var remote *wire.Error
	if errors.As(err, &remote) && remote.Code == wire.CodeUnknownGroup {
		return fail(exitUnavailable, fmt.Errorf("%w; nothing was saved", err), fmt.Sprintf("was group %d deleted meanwhile? save again", remote.Group))
	}
	return err
}

// manifestOf is what a cluster says of itself as it begins to be saved.
func manifestOf(st *client.Status) (archive.Manifest, error) {
	m := archive.Manifest{
		Cluster: st.Cluster, Epoch: epoch.Epoch(st.Epoch), Saved: time.Now().UTC().Truncate(time.Second), Program: versionInfo().Version,
	}
	id, err := hex.DecodeString(st.ClusterID)
	if err != nil || len(id) != len(m.ClusterID) {
		return m, fmt.Errorf("the cluster says that its id is %q", st.ClusterID)
	}
	m.ClusterID = wire.ClusterID(id)
	return m, nil
}
