// Package framing is what stands on the streams between two nodes, byte for byte: the preface, frames with their stamp and their
// elements, notices, and the items of the forward lane. It knows no socket, goroutine or clock and decides nothing: who may say what, and
// what follows from it, is quictransport's. It guarantees that whatever it reads is bounded and well formed, that memory follows what
// arrived and not what was declared (D75), and that a frame's stamp can be put on after its elements, when it is written (P23).
//
//	var box framing.Outbox // the sending end of a lane
//	box.AddMessage(&m)
//	stream.Write(box.Sealed(0, fence.Stamp()))
//
//	frames := framing.NewReader(stream, false) // the receiving end
//	frame, err := frames.Next()
//	r := wire.NewReader(frame)
//	stamp, withNotice, err := framing.ReadHead(r) // the fence looks at the stamp before anything else is read (P24)
//
// The tables of bytes are in docs/format.md.
package framing
