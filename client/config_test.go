package client

import (
	"errors"
	"net"
	"testing"
)

// A socket that was given is the client's from the call of Dial on, as a node's is: who is refused has nothing left to close.
func TestRefusedDialClosesItsSocket(t *testing.T) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t.Context(), Config{Endpoints: []string{"nonsense"}, Conn: socket}); !errors.Is(err, ErrUsage) {
		t.Errorf("dial: %v", err)
	}
	if err := socket.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the socket was left open: %v", err)
	}
}
