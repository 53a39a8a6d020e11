// Package pki makes, stores, loads and checks the certificates of a flotilla cluster, and builds the TLS
// configurations of its connections. It hides x509 and file modes; it guarantees that a loaded
// Credentials belongs to the node or client it was loaded for, was signed by its own CA bundle and has not
// expired, and that every TLS configuration built here demands TLS 1.3, a certificate on both sides, this CA
// bundle only, and a name of the same cluster, with session tickets and 0-RTT off.
//
// A name is one URI in the certificate: flotilla://CLUSTER/node/ID or flotilla://CLUSTER/client. Host names play no
// part in who a node is; they are in a node's certificate for browsers and HTTP clients only.
//
//	ca, err := pki.CreateCA("flotilla")
//	node, err := ca.IssueNode("flotilla", 1, []string{"127.0.0.1"}, pki.NodeValidity)
//	err = node.WriteDir("data/tls")
//	source, err := pki.OpenNode("data/tls", "flotilla", 1)
//	...
//	err = source.Reload() // new files, same process (N14)
package pki
