package birth

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"

	"flotilla/raft/wire"
)

// maxNodes is tested up to here.
const maxNodes = 64

// CheckNodes reports everything that is wrong with a list of nodes by itself, each fault a *ConfigError.
func CheckNodes(nodes map[wire.NodeID]string) (errs []error) {
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, &ConfigError{Text: fmt.Sprintf(format, args...)})
		}
	}
	fault(len(nodes) > maxNodes, "%d nodes, %d at most", len(nodes), maxNodes)
	seen := map[string]wire.NodeID{}
	for _, id := range slices.Sorted(maps.Keys(nodes)) {
		addr := nodes[id]
		_, _, err := net.SplitHostPort(addr)
		fault(id == wire.NoNode || id > wire.MaxNodeID, "initial cluster: node id %d: 1 to 2^63-1", id)
		fault(err != nil, "initial cluster: node %d: %q is not HOST:PORT", id, addr)
		fault(seen[addr] != 0, "initial cluster: nodes %d and %d share the address %s", seen[addr], id, addr)
		seen[addr] = id
	}
	return errs
}

// CheckSelf demands that self stands in the list, under the address that it advertises, if it says one, and that others
// can dial it.
func (p *Plan) CheckSelf(self wire.NodeID, advertise string) error {
	addr, listed := p.Nodes[self]
	host, _, _ := net.SplitHostPort(addr)
	ip, _ := netip.ParseAddr(host)
	switch {
	case !listed:
		return &ConfigError{Text: fmt.Sprintf("node %d is not in the initial cluster %s", self, ListText(p.Nodes))}
	case advertise != "" && advertise != addr:
		return &ConfigError{Text: fmt.Sprintf("the initial cluster has node %d at %s, it advertises %s", self, addr, advertise)}
	case host == "" || ip.IsUnspecified():
		return &ConfigError{Text: fmt.Sprintf("nobody can dial %s: advertise an address of this machine", addr)}
	}
	return nil
}

// Elsewhere reports whether who dials registered misses a socket on listen, as far as the texts tell: the ports differ, or both
// hosts are IP addresses and not the same. Something on the way may make up for it.
func Elsewhere(listen, registered string) bool {
	host, port, errListen := net.SplitHostPort(listen)
	dialled, dialledPort, errDialled := net.SplitHostPort(registered)
	if errListen != nil || errDialled != nil {
		return false
	}
	here, errHere := netip.ParseAddr(host)
	there, errThere := netip.ParseAddr(dialled)
	known := errHere == nil && errThere == nil && !here.IsUnspecified()
	return port != dialledPort || known && here.Unmap() != there.Unmap()
}
