package main

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
)

// bytes returns a size like 64MiB, 256KiB/s or 4096 within [lo, hi].
func (s *settings) bytes(name string, lo, hi int64) int64 {
	x := s.find(name)
	v, err := parseBytes(strings.TrimSuffix(x.value, "/s"))
	if err != nil || v < lo || v > hi {
		s.fault(x, "%q is not a size from %s to %s (like 256KiB or 64MiB)", x.value, formatBytes(lo), formatBytes(hi))
	}
	return v
}

var byteUnits = []struct {
	suffix string
	size   int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}, {"", 1}}

func parseBytes(text string) (int64, error) {
	for _, u := range byteUnits {
		digits, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.size {
			return 0, fmt.Errorf("size %q", text)
		}
		return n * u.size, nil
	}
	return 0, fmt.Errorf("size %q", text)
}

func formatBytes(n int64) string {
	for _, u := range byteUnits[:3] {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// address returns a HOST:PORT, or "" where that is allowed by the default.
func (s *settings) address(name string) string {
	x := s.find(name)
	if x.value == "" {
		return ""
	}
	if err := checkAddress(x.value); err != nil {
		s.fault(x, "%v", err)
	}
	return x.value
}

// addresses returns a list of HOST:PORT separated by commas.
func (s *settings) addresses(name string) []string {
	x := s.find(name)
	if x.value == "" {
		return nil
	}
	list := strings.Split(x.value, ",")
	for i, a := range list {
		list[i] = strings.TrimSpace(a)
		if err := checkAddress(list[i]); err != nil {
			s.fault(x, "%v", err)
		}
	}
	return list
}

func checkAddress(a string) error {
	_, port, err := net.SplitHostPort(a)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT", a)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > math.MaxUint16 {
		return fmt.Errorf("%q: the port is not a number from 0 to 65535", a)
	}
	return nil
}
