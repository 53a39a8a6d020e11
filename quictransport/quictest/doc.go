// Package quictest gives tests networks to put transports on: a simulated one that can be cut, healed, delayed, slowed and
// made lossy, for use inside a testing/synctest bubble, and real loopback sockets. It hides quic-go's simnet, whose API is
// not promised; no other package imports that.
//
//	synctest.Test(t, func(t *testing.T) {
//		net := quictest.NewNetwork(5 * time.Millisecond)
//		defer net.Close()
//		a, b := net.Listen(t, "10.0.0.1:7400"), net.Listen(t, "10.0.0.2:7400")
//		...
//		net.Cut("10.0.0.1:7400", "10.0.0.2:7400")
//	})
package quictest
