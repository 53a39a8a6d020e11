package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// devFileName is where client commands find a running dev in the working directory.
const devFileName = ".flotilla-dev.json"

// devFile is its content.
type devFile struct {
	Endpoints []string `json:"endpoints"`
	TLSDir    string   `json:"tls_dir"`
	HTTP      []string `json:"http"`
	PID       int      `json:"pid"`
}

// readDevFile returns the file of the working directory, or false when there is none. A dev that was killed and left
// its file is an error: waiting for it would tell less.
func readDevFile() (devFile, bool, error) {
	var d devFile
	raw, err := os.ReadFile(devFileName)
	if errors.Is(err, fs.ErrNotExist) {
		return d, false, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &d)
	}
	if err != nil {
		return d, false, usagef("remove it, or give --endpoints and --tls-dir")("%s: %w", devFileName, err)
	}
	if !d.running() {
		return d, false, &exitError{
			exitUnavailable, "dev_gone", fmt.Errorf("the flotilla dev that %s names (process %d) is gone", devFileName, d.PID),
			"start it again: flotilla dev; for another cluster give --endpoints and --tls-dir",
		}
	}
	return d, true, nil
}

// running reports whether the process that wrote d is there.
func (d devFile) running() bool {
	return d.PID <= 0 || !errors.Is(syscall.Kill(d.PID, 0), syscall.ESRCH)
}

// write puts d in place, whole, unless another dev runs in this directory: that one stays the one found, and holder is
// its process.
func (d devFile) write() (remove func() error, holder int, err error) {
	if other, found, err := readDevFile(); err == nil && found && other.PID > 0 {
		return func() error { return nil }, other.PID, nil
	}
	d.PID = os.Getpid()
	raw, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, 0, err
	}
	tmp := fmt.Sprintf("%s.%d", devFileName, d.PID)
	if err := os.WriteFile(tmp, append(raw, '\n'), 0o600); err != nil {
		return nil, 0, err
	}
	if err := os.Rename(tmp, devFileName); err != nil {
		return nil, 0, errors.Join(err, os.Remove(tmp))
	}
	path, err := filepath.Abs(devFileName)
	return func() error { return d.removeFrom(path) }, 0, err
}

// removeFrom removes the file unless another dev has replaced it.
func (d devFile) removeFrom(path string) error {
	var now devFile
	raw, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(raw, &now) != nil || now.PID != d.PID {
		return nil
	}
	return os.Remove(path)
}
