package protocol

import (
	"encoding/base64"
	"unicode/utf8"
)

// AsText returns b as it stands in JSON: itself when it is UTF-8, else in base64; EncodingOf says which.
func AsText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// EncodingOf is "base64" when AsText had to encode b, else "".
func EncodingOf(b []byte) string {
	if utf8.Valid(b) {
		return ""
	}
	return "base64"
}
