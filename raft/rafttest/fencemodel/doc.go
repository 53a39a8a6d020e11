// Package fencemodel explores the epoch fence exhaustively: every order in which three nodes of a small world can elect,
// commit, apply, crash, restart, and hear frames that are late, repeated, from an earlier life of their sender, or lies.
//
// It hides how states are walked and kept. It drives the real code, epoch.Holder and catalog.Snapshot.After, by the rules
// of docs/model/fence.pml and holds it against the properties of the same names, so that specification and code cannot part:
// what spin proves of the one is looked for here in the other.
//
//	broken := fencemodel.World{Terms: 2, Entries: 3, Crashes: 1, Liar: true}.Explore(fencemodel.Real)
package fencemodel
