module flotilla/raft/rafttest/diff

go 1.26.0

require (
	flotilla v0.0.0-00010101000000-000000000000
	go.etcd.io/raft/v3 v3.7.0
	google.golang.org/protobuf v1.36.12
)

replace flotilla => ../../..
