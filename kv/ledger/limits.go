package ledger

import "time"

const (
	// MaxAccounts bounds the accounts of one ledger; it is the same at all replicas, as it decides what is refused. In the file an
	// account takes 64 bytes at worst, and while a state is restored there are two of them.
	MaxAccounts = 1 << 20

	// mapBytes of address space are reserved for the file, 1 GiB where addresses have 32 bits, else 16 GiB. A file that outgrows what
	// is mapped is mapped anew, and that waits until no frozen state is being written any more: the group would stand still.
	mapBytes = 1 << (30 + 4*(^uint(0)>>63))
	// growBytes is by how much the file grows at least.
	growBytes = 1 << 20
	// lockTimeout is how long Open waits for another process to let go of the file.
	lockTimeout = 2 * time.Second
	// restoreBatch is how many accounts a transaction of Restore writes: a megabyte of pages, so that others wait little.
	restoreBatch = 1 << 14
	// bufferBytes is what is read or written of a state at once.
	bufferBytes = 64 << 10
)
