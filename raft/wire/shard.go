package wire

import "hash/crc32"

// Shards is the number of slots of the key space.
const Shards = 1024

// Shard is one slot of the key space, 0 to Shards-1. The routing table maps it to a group.
type Shard uint16

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ShardOf returns the shard of key. It is part of the disk format: it never changes.
func ShardOf(key []byte) Shard { return Shard(crc32.Checksum(key, castagnoli) % Shards) }
