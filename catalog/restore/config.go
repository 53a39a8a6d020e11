package restore

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"

	"flotilla/catalog/birth"
	"flotilla/epoch"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"
)

// EpochMargin is how far the epoch is raised above the archive's when nothing is said: what the cluster that was has given out since
// it was saved is not known, and one election takes one. A million elections are eleven days of nothing else.
const EpochMargin = 1_000_000

// Config says which node of which cluster gets what. Archive, Dir, NodeID and Nodes are required.
type Config struct {
	// Archive is the file, Dir the data directory to make. Dir may be there, with its tls in it and nothing else.
	Archive, Dir string
	NodeID       wire.NodeID
	// Nodes are the members of the new cluster and their addresses, the same at each of them.
	Nodes map[wire.NodeID]string
	// Cluster is the new cluster's name, as in the certificates; default the archive's.
	Cluster string
	// TLS is who the node is; TLSDir (default Dir/tls) is read when it is nil. The authority is part of the cluster's id.
	TLS    *pki.Source
	TLSDir string
	// Epoch is what the new cluster begins above; it is part of the cluster's id: the same at each node. Default: the archive's and EpochMargin.
	Epoch epoch.Epoch
	// Progress, when not nil, is told now and then how many bytes of the archive were read, of how many.
	Progress func(done, total int64)
	// Free says how many bytes are free in a directory; nil asks the operating system.
	Free func(dir string) (int64, error)
}

// Validate reports everything that is wrong with c by itself, joined.
func (c *Config) Validate() error {
	var errs []error
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, &birth.ConfigError{Text: fmt.Sprintf(format, args...)})
		}
	}
	fault(c.Archive == "", "no archive to restore from")
	fault(c.Dir == "", "no data directory to make")
	fault(len(c.Nodes) == 0, "nobody is in the new cluster: list its nodes and addresses")
	fault(c.Epoch > wire.MaxNumber, "epoch %d: up to 2^63-1", c.Epoch)
	if c.Cluster != "" {
		if err := pki.ValidateCluster(c.Cluster); err != nil {
			fault(true, "%v", err)
		}
	}
	errs = append(errs, birth.CheckNodes(c.Nodes)...)
	if len(c.Nodes) > 0 {
		errs = append(errs, (&birth.Plan{Nodes: c.Nodes}).CheckSelf(c.NodeID, ""))
	}
	return errors.Join(errs...)
}

// credentials are the node's, of the cluster called name.
func (c *Config) credentials(name string) (*pki.Credentials, error) {
	source := c.TLS
	if source == nil {
		var err error
		if source, err = pki.OpenNode(cmp.Or(c.TLSDir, filepath.Join(c.Dir, "tls")), name, c.NodeID); err != nil {
			return nil, err
		}
	}
	if got, want := source.Current().Name, pki.NodeName(name, c.NodeID); got != want {
		return nil, &birth.ConfigError{Text: fmt.Sprintf("the certificate names %s, this node is %s", got, want)}
	}
	return source.Current(), nil
}

// above is the epoch that the new cluster begins with: more than last, the highest of the archive.
func (c *Config) above(last epoch.Epoch) (epoch.Epoch, error) {
	switch {
	case c.Epoch == 0 && last <= wire.MaxNumber-EpochMargin:
		return last + EpochMargin, nil
	case c.Epoch <= last:
		return 0, &birth.ConfigError{Text: fmt.Sprintf("epoch %d is not above the archive's, which is %d", c.Epoch, last)}
	}
	return c.Epoch, nil
}
