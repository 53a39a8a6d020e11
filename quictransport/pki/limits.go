package pki

import "time"

// Limits and life times, each with its reason.
const (
	// NodeValidity is how long a node or client certificate lives: short enough that a lost key dies by
	// itself, long enough that a monthly renewal may fail twice.
	NodeValidity = 90 * 24 * time.Hour
	// CAValidity is how long a CA lives. Its rotation touches every machine, so it is rare.
	CAValidity = 10 * 365 * 24 * time.Hour
	// backdate lets a certificate be used at once on machines whose clocks are behind the CA's.
	backdate = time.Hour
	// maxFile bounds what is read of one PEM file: a bundle of a hundred CAs fits.
	maxFile = 256 << 10
	// maxClusterName keeps the URI a legal host label chain for every x509 parser.
	maxClusterName = 63
)
