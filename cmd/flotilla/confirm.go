package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// maxAnswer bounds what is read of an answer: a line typed by a person.
const maxAnswer = 256

// attended reports whether somebody is there to be asked: what asks goes to stderr, what answers comes from stdin.
func attended() bool { return isTerminal(os.Stdin) && isTerminal(os.Stderr) }

// confirm asks whether to go on where somebody is there to be asked. A script has said what it wants by its command line. ctx ends
// by a signal only: nobody thinks within --timeout.
func (sh *shell) confirm(ctx context.Context, question string) error {
	if !sh.attended {
		return nil
	}
	fmt.Fprintf(sh.err, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() { // a read of a terminal ends with the process at the latest
		line, _ := bufio.NewReaderSize(sh.in, maxAnswer).ReadSlice('\n') // an answer that is cut off is none
		answer <- strings.ToLower(strings.TrimSpace(string(line)))
	}()
	select {
	case a := <-answer:
		if a == "y" || a == "yes" {
			return nil
		}
		return fail(exitRefused, errors.New("not confirmed: nothing was changed"), "answer y, or say --yes")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
