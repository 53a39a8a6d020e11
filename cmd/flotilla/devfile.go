package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// readDevFile returns the file of the working directory, or false when there is none.
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
	return d, true, nil
}

// write puts d in place, whole, unless another running dev has its own there.
func (d devFile) write() (remove func() error, err error) {
	d.PID = os.Getpid()
	if d.TLSDir, err = filepath.Abs(d.TLSDir); err != nil {
		return nil, err
	}
	raw, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, err
	}
	tmp := fmt.Sprintf("%s.%d", devFileName, d.PID)
	if err := os.WriteFile(tmp, append(raw, '\n'), 0o600); err != nil {
		return nil, err
	}
	if err := os.Rename(tmp, devFileName); err != nil {
		return nil, errors.Join(err, os.Remove(tmp))
	}
	path, err := filepath.Abs(devFileName)
	return func() error { return d.removeFrom(path) }, err
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
