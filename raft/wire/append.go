package wire

import (
	"encoding/binary"
	"math"
)

// The msgpack codes this project writes and reads (https://github.com/msgpack/msgpack/blob/master/spec.md).
const (
	codeFixIntMax  = 0x7f
	codeFixArray   = 0x90
	codeFixArrayHi = 0x9f
	codeFixStr     = 0xa0
	codeFixStrHi   = 0xbf
	codeNil        = 0xc0
	codeFalse      = 0xc2
	codeTrue       = 0xc3
	codeBin8       = 0xc4
	codeBin16      = 0xc5
	codeBin32      = 0xc6
	codeUint8      = 0xcc
	codeUint16     = 0xcd
	codeUint32     = 0xce
	codeUint64     = 0xcf
	codeInt8       = 0xd0
	codeInt16      = 0xd1
	codeInt32      = 0xd2
	codeInt64      = 0xd3
	codeStr8       = 0xd9
	codeStr16      = 0xda
	codeStr32      = 0xdb
	codeArray16    = 0xdc
	codeArray32    = 0xdd
)

// AppendArray appends the header of an array of n elements, 0 <= n < 2^32; the elements follow.
func AppendArray(dst []byte, n int) []byte {
	switch {
	case n < 16:
		return append(dst, codeFixArray|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, codeArray16), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(dst, codeArray32), uint32(n))
	}
}

// AppendUint appends v in the smallest form that holds it: 1, 2, 3, 5 or 9 bytes.
func AppendUint(dst []byte, v uint64) []byte {
	switch {
	case v <= codeFixIntMax:
		return append(dst, byte(v))
	case v <= math.MaxUint8:
		return append(dst, codeUint8, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, codeUint16), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, codeUint32), uint32(v))
	default:
		return binary.BigEndian.AppendUint64(append(dst, codeUint64), v)
	}
}

// AppendBytes appends b as binary of less than 2^32 bytes; a nil b is appended as nil, an empty one as
// empty binary, so the difference survives.
func AppendBytes(dst, b []byte) []byte {
	n := len(b)
	switch {
	case b == nil:
		return append(dst, codeNil)
	case n <= math.MaxUint8:
		dst = append(dst, codeBin8, byte(n))
	case n <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, codeBin16), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, codeBin32), uint32(n))
	}
	return append(dst, b...)
}

// AppendString appends s, of less than 2^32 bytes, as a string.
func AppendString(dst []byte, s string) []byte {
	n := len(s)
	switch {
	case n < 32:
		dst = append(dst, codeFixStr|byte(n))
	case n <= math.MaxUint8:
		dst = append(dst, codeStr8, byte(n))
	case n <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, codeStr16), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, codeStr32), uint32(n))
	}
	return append(dst, s...)
}

// AppendBool appends v.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, codeTrue)
	}
	return append(dst, codeFalse)
}

// AppendNil appends nil: "no value here".
func AppendNil(dst []byte) []byte { return append(dst, codeNil) }
