package pki

import "fmt"

// Fault classes what is wrong with a certificate, a key or a directory of them.
type Fault uint8

// The faults. Compare with errors.Is(err, &Error{Fault: f}).
const (
	// FaultMissing: a file does not exist.
	FaultMissing Fault = 1
	// FaultUnreadable: a file exists and cannot be read.
	FaultUnreadable Fault = 2
	// FaultKeyMode: a private key can be read by others than its owner.
	FaultKeyMode Fault = 3
	// FaultMalformed: a file's content is not what its name says, or is too large.
	FaultMalformed Fault = 4
	// FaultKeyMismatch: the key is not that of the certificate.
	FaultKeyMismatch Fault = 5
	// FaultName: the certificate carries no name, or several.
	FaultName Fault = 6
	// FaultWrongCluster: the certificate belongs to another cluster.
	FaultWrongCluster Fault = 7
	// FaultWrongNode: the certificate belongs to another node.
	FaultWrongNode Fault = 8
	// FaultWrongRole: a client's certificate where a node's is needed, or the other way round.
	FaultWrongRole Fault = 9
	// FaultExpired: the certificate has expired.
	FaultExpired Fault = 10
	// FaultNotYetValid: the certificate's time has not come, or this machine's clock is behind.
	FaultNotYetValid Fault = 11
	// FaultUnknownCA: the certificate was not signed by the CA bundle at hand.
	FaultUnknownCA Fault = 12
	// FaultExists: a file that must not be overwritten is there already.
	FaultExists Fault = 13
)

// faultTable has the text and the next step of each fault.
var faultTable = [...]struct{ text, next string }{
	FaultMissing:      {"missing", "create it with `flotilla cert` and copy it here, or name the directory that holds it"},
	FaultUnreadable:   {"unreadable", "make it readable for the user that runs flotilla"},
	FaultKeyMode:      {"private key readable by others", "run chmod 600 on it; if others may have read it, issue a new one"},
	FaultMalformed:    {"malformed", "restore the file or issue a new one with `flotilla cert`"},
	FaultKeyMismatch:  {"key does not belong to the certificate", "copy certificate and key from the same `flotilla cert` run"},
	FaultName:         {"no flotilla name", "issue the certificate with `flotilla cert node` or `flotilla cert client`"},
	FaultWrongCluster: {"certificate of another cluster", "check the name of the cluster, or issue a certificate for this one"},
	FaultWrongNode:    {"certificate of another node", "check the id of the node, or issue a certificate for this one"},
	FaultWrongRole:    {"certificate of the wrong kind", "nodes need `flotilla cert node`, clients `flotilla cert client`"},
	FaultExpired:      {"certificate expired", "issue a new one with `flotilla cert`, copy it here, send SIGHUP"},
	FaultNotYetValid:  {"certificate not valid yet", "check the clock of this machine"},
	FaultUnknownCA:    {"not signed by this CA", "use the ca.crt of the cluster; during a CA rotation it holds both the old and the new CA"},
	FaultExists:       {"exists already", "choose an empty directory, or remove the file if it is no longer needed"},
}

// String returns the fault's text.
func (f Fault) String() string {
	if int(f) < len(faultTable) && faultTable[f].text != "" {
		return faultTable[f].text
	}
	return fmt.Sprintf("fault %d", uint8(f))
}

// Next returns what an operator does about the fault.
func (f Fault) Next() string {
	if int(f) < len(faultTable) {
		return faultTable[f].next
	}
	return ""
}

// Error is a fault of a certificate, a key or a directory of them.
type Error struct {
	Fault Fault
	// Path is the file concerned; empty for a certificate that came over the network.
	Path string
	// Detail names what was found and what was wanted.
	Detail string
	Cause  error
}

// Error returns path, fault, detail and the next step.
func (e *Error) Error() string {
	s := e.Fault.String()
	if e.Path != "" {
		s = e.Path + ": " + s
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	if e.Path != "" && e.Fault.Next() != "" {
		s += " (" + e.Fault.Next() + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is matches another *Error of the same fault that names nothing else.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Fault == e.Fault && t.Path == "" && t.Detail == "" && t.Cause == nil
}
