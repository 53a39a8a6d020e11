package script

import (
	"fmt"

	"flotilla/raft/wire"
)

func nobody(n wire.NodeID) string {
	if n == wire.NoNode {
		return "none"
	}
	return n.String()
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
