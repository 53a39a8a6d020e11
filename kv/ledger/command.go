package ledger

import (
	"encoding/binary"
	"fmt"
)

// Account names an account. There is each of them; most have nothing.
type Account uint64

// Amount is an amount of money in its smallest unit.
type Amount uint64

// version stands first in commands and states. Another one is not understood.
const version = 1

// The commands: version, operation, from, to, amount; 26 bytes, big endian.
const (
	opDeposit   = 1
	opTransfer  = 2
	commandSize = 2 + 3*8
)

// Status says what became of a command; the first byte of its result.
type Status byte

const (
	// Done says that the money has moved.
	Done Status = 1
	// Short says that the account has less than was to be taken from it.
	Short Status = 2
	// Full says that an account cannot hold so much, or that there are MaxAccounts already.
	Full Status = 3
)

// AppendDeposit appends the command that adds amount to an account, from nowhere.
func AppendDeposit(b []byte, to Account, amount Amount) []byte {
	return appendCommand(b, opDeposit, 0, to, amount)
}

// AppendTransfer appends the command that moves amount from one account to another, or is refused.
func AppendTransfer(b []byte, from, to Account, amount Amount) []byte {
	return appendCommand(b, opTransfer, from, to, amount)
}

func appendCommand(b []byte, op byte, from, to Account, amount Amount) []byte {
	b = binary.BigEndian.AppendUint64(append(b, version, op), uint64(from))
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(to)), uint64(amount))
}

// Vet is for Config.Vet: it keeps out of the log what no replica could apply.
func Vet(command []byte) error {
	if len(command) != commandSize || command[0] != version || command[1] != opDeposit && command[1] != opTransfer {
		return fmt.Errorf("%d bytes that are no command of a ledger of version %d", len(command), version)
	}
	return nil
}

// AppendQuery appends the request for an account's balance; the answer has 8 bytes, big endian.
func AppendQuery(b []byte, of Account) []byte { return binary.BigEndian.AppendUint64(b, uint64(of)) }
