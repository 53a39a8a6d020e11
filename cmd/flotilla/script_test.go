package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"flotilla": main})
}

// TestScripts runs the binary the way people and their scripts do: testdata/script/*.txtar.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			base, err := freeBase()
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("BASE", strconv.Itoa(base))
			other, errOther := freeBase()
			e.Setenv("BASE2", strconv.Itoa(other))
			for i := range 3 { // UDP1.. and HTTP1.. for scripts that start nodes one by one
				e.Setenv(fmt.Sprintf("UDP%d", i+1), loopback(base+i))
				e.Setenv(fmt.Sprintf("HTTP%d", i+1), loopback(base+devHTTPOffset+i))
			}
			return errors.Join(err, errOther)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exit":   cmdExit,
			"mode":   cmdMode,
			"await":  cmdAwait,
			"http":   cmdHTTP,
			"notify": cmdNotify,
		},
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
	})
}
