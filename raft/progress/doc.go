// Package progress is what a leader knows of one follower: which prefix of the log is known to match, what to
// send next, how much of what was sent is unacknowledged, and when the follower was last heard of.
//
// It hides the three states of replication (probe, replicate, snapshot) and the window of bytes and messages in
// flight. It guarantees that Match only rises, that Match < Next, that nothing is sent while the window is
// full, and that the window's sum of bytes is 0 whenever it holds no message (D63). It sends nothing itself and
// knows no log: the core does the sending.
//
// A Follower has one owner, the core of the leader.
//
//	f := progress.New(id, progress.Voter, last+1, limits)
//	if f.CanSend() { send(f.Next()...); f.Sent(lastIndex, bytes) }
//	f.Acked(index)
package progress
