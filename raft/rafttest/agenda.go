package rafttest

import "flotilla/raft/wire"

// taskKind says what a task does.
type taskKind uint8

const (
	taskTick taskKind = iota + 1
	taskDeliver
	taskSync
	taskTold
	taskApply
	taskSend
	taskArrive
	taskReport
	taskInstall
	taskInstalled
	taskAbandon
	taskDie
	taskBeacon
	taskRestart
	taskResume
	taskHealCut
	taskPropose
	taskRead
	taskCrash
	taskPause
	taskCut
	taskChange
	taskTransfer
	taskCampaign
	taskUnreachable
	taskCompact
	taskHeal
	taskProbe
)

// task is one thing to do, on the agenda. life, where not 0, is the life of the node in which it still makes sense.
type task struct {
	kind  taskKind
	node  wire.NodeID
	life  int
	value uint64
	peer  wire.NodeID
	m     wire.Message

	transfer Transfer
}
