package integration

import (
	"fmt"
	"strconv"
	"strings"
)

// Restored makes a cluster of n nodes of an archive, with directories and logs below dir, and the certificates of this cluster's
// authority. addrs are those of its first nodes; the others get new ones.
func (c *Cluster) Restored(dir, file string, n int, addrs ...string) (*Cluster, error) {
	r := &Cluster{Dir: dir, bin: c.bin, certs: c.certs, restored: true}
	for id := range n {
		if err := r.Prepare(); err != nil {
			return nil, err
		}
		if id < len(addrs) {
			r.nodes[id].peer = addrs[id]
		}
	}
	var list []string
	for _, m := range r.nodes {
		list = append(list, fmt.Sprintf("%d=%s", m.id, m.peer))
	}
	for _, m := range r.nodes {
		if _, err := run(r.bin, "snapshot", "restore", file, "--data", r.DataDir(m.id), "--node-id", strconv.Itoa(m.id),
			"--initial-cluster", strings.Join(list, ","), "--tls-dir", r.tlsDir(m.id)); err != nil {
			return nil, err
		}
	}
	return r, nil
}
