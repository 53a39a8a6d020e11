// Package script runs transcripts: situations of a Raft group told command by command (raft/testdata/*.txt), each
// about one promise or one defect of the field.
//
// It hides how commands are parsed and how a rafttest.Cluster is moved by hand: nothing happens unless a command says
// so, so that a transcript shows every message, write and step that matters, and a reader can follow it with the
// thesis beside. The invariants of rafttest are checked throughout; a broken one shows as a line that begins with VIOLATION.
//
//	s := script.New()
//	fmt.Print(s.Run("nodes", []script.Arg{{Key: "3"}}))
//	fmt.Print(s.Run("campaign", []script.Arg{{Key: "1"}}))
//
// A Script has one owner.
package script
