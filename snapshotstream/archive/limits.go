package archive

// Every bound of this package, each with its reason. What bounds a snapshot is in snapshotstream, what a catalog in catalog.
const (
	// maxLead bounds an encoded lead, of later versions too: today's has some 700 bytes at most.
	maxLead = 16 << 10
	// maxName bounds the cluster's name, maxProgram the version of the program that saved it: as the catalog does.
	maxName    = 512
	maxProgram = 64
	// bufferBytes is read and written at a time.
	bufferBytes = 64 << 10
)
