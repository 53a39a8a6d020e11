// Package protocol holds what clients and servers of flotilla say to each other: requests, replies, the
// frames they travel in, the classes of errors that callers see, and the shapes of status and routes.
//
// A client opens one bidirectional stream on a QUIC connection of ALPN, sends a Hello, and gets one back with
// the version to speak. From then on both directions are frames: a length of four bytes, big endian, then one
// msgpack array (docs/format.md, "native client protocol"). Requests carry a number; replies carry it back, in
// any order. Any number of requests may be under way.
//
// It hides the bytes. It guarantees that nothing a stranger sends makes it allocate more than twice
// MaxFrameBytes, and that decoders return typed errors and never panic. Decoded Requests and Replies alias the
// frame they came from: who keeps them copies.
//
// Writer gathers the frames of many goroutines and writes everything pending at once; FrameReader takes frames
// apart without a copy.
package protocol
