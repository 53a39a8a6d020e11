package main

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// remember takes from kept data what it was made with: nodes, groups and ports were fixed then, so silence means them.
func (d *devCluster) remember(s *settings) error {
	path := filepath.Join(d.dir, "node-1", "catalog.db")
	if _, err := os.Stat(path); d.dir == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	v, err := catalog.Inspect(path, offlineLock)
	if err != nil {
		return err
	}
	first, found := v.Topology.Find(1)
	_, text, _ := net.SplitHostPort(first.Addr)
	port, err := strconv.Atoi(text)
	if !v.Born || !found || err != nil {
		return nil // no birth of ours: opening it says what it is
	}
	meta, _ := v.FindGroup(wire.MetadataGroup)
	born := len(meta.Origin.Voters) + len(meta.Origin.Learners) // others may have been announced since
	contradicted := false
	for _, x := range []struct {
		flag string
		now  *int
		made int
	}{{"nodes", &d.size, born}, {"groups", &d.groups, int(v.Settings.Groups)}, {"base-port", &d.base, port}} {
		contradicted = contradicted || s.given(x.flag) && *x.now != x.made
		*x.now = x.made
	}
	d.kept = true
	if contradicted {
		return usagef("leave those flags away, or choose another --data")(
			"%s was made with --nodes %d --groups %d --base-port %d", d.dir, d.size, d.groups, d.base)
	}
	return nil
}
