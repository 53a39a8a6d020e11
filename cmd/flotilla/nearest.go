package main

import (
	"slices"

	"flotilla/internal/typo"
)

// synonyms are what other stores and tools call our commands.
var synonyms = map[string]string{
	"list": "scan", "ls": "scan", "keys": "scan", "rm": "del", "remove": "del", "set": "put", "read": "get", "write": "put",
	"start": "serve", "run": "serve", "server": "serve", "init": "cert", "verify": "offline",
}

// nearest returns the known word that given was probably meant to be, or "": a slip of the pen, else what is called so elsewhere.
func nearest(given string, known []string) string {
	word := typo.Nearest(given, known)
	if s := synonyms[given]; word == "" && slices.Contains(known, s) {
		return s
	}
	return word
}
