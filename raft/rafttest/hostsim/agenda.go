package hostsim

// taskKind says what a task does.
type taskKind uint8

const (
	taskTick taskKind = iota + 1
	taskTurn
	taskSynced
	taskApply
	taskSave
	taskWrite
	taskArrive
	taskConnect
	taskRequest
	taskAnswer
	taskDeadline
	taskThink
	taskStart
	taskDrained
	taskResume
	taskMend
	taskSpace
	taskDisturb
	taskPhase
	taskHeal
	taskProbe
	taskLeave
	taskDo
	taskLook  // a steward's
	taskJoin  // a node without a cluster asks its way into it
	taskOff   // a node that was removed is switched off
	taskCare  // a look at how it stands after a loss
	taskHaunt // a lost data directory runs once more
	taskExorcise
)

// anyLife is the life of a task that does not ask for one.
const anyLife = -1

// task is one thing to do.
type task struct {
	kind   taskKind
	value  uint32
	host   *host // whose life it belongs to, nil for nobody's
	life   int
	frame  *frame
	try    *try
	client *client
	link   *link
	do     func()
}
