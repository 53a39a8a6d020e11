package flotilla_test

import (
	"net"
	"testing"
	"time"

	"flotilla/quictransport"
	"flotilla/quictransport/pki"

	"github.com/quic-go/quic-go"
)

// TestOneLiarStopsNobody: a peer with a valid certificate that tells the others that they were removed, or that their
// disks were replaced, stops none of them.
func TestOneLiarStopsNobody(t *testing.T) {
	simulated(t, 3, func(t *testing.T, c *testCluster) {
		c.openAll()
		add(t, c.hosts[1], 1, 5)
		c.close(3)
		conn := c.sim.Listen(t, "10.0.0.99:7400")
		liar := &quic.Transport{Conn: conn}
		for id, h := range c.hosts {
			for _, reason := range []quictransport.Reason{quictransport.ReasonRemoved, quictransport.ReasonGeneration} {
				addr, err := net.ResolveUDPAddr("udp4", c.addrs[id])
				check(t, err)
				addr.IP = addr.IP.To4() // as the simulated network knows it
				qc, err := liar.Dial(t.Context(), addr, c.source(3).DialNode(pki.PeerProtocol, id), &quic.Config{})
				check(t, err)
				check(t, qc.CloseWithError(quic.ApplicationErrorCode(reason), "says the liar"))
			}
			select {
			case <-h.Failed():
				t.Errorf("node %d believed one peer: %v", id, h.Err())
			case <-time.After(time.Second):
			}
		}
		check(t, liar.Close())
		check(t, conn.Close())
		if got := add(t, c.hosts[1], 1, 1); got != 6 {
			t.Errorf("sum %d, want 6", got)
		}
	})
}
