package security

import (
	"cmp"
	"log/slog"
	"strings"
)

// Hidden is a value that nobody is to see: it formats as [hidden].
type Hidden string

const hidden = "[hidden]"

// String hides the value.
func (Hidden) String() string { return hidden }

// GoString hides it from %#v.
func (Hidden) GoString() string { return hidden }

// LogValue hides it from logs.
func (Hidden) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides it from encoders.
func (Hidden) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// ScramMechanism is one of SCRAM's, numbered as in Kafka's ScramMechanism.
type ScramMechanism int8

// The mechanisms of SCRAM.
const (
	ScramSHA256 ScramMechanism = 1
	ScramSHA512 ScramMechanism = 2
)

// String is the mechanism's name in SASL, empty for one that there is not.
func (m ScramMechanism) String() string {
	switch m {
	case ScramSHA256:
		return "SCRAM-SHA-256"
	case ScramSHA512:
		return "SCRAM-SHA-512"
	}
	return ""
}

// How often a password may be hashed: less is not safe enough, more is work that a
// client can make others do.
const (
	LeastIterations = 4096
	MostIterations  = 16384
)

// ScramCredential is what is kept of a user's password for a mechanism: enough to
// verify it, and not to log in with it.
type ScramCredential struct {
	ScramUser
	Salt       Hidden
	StoredKey  Hidden
	ServerKey  Hidden
	Iterations int32
}

// ScramUser is a user by a mechanism.
type ScramUser struct {
	Name      string
	Mechanism ScramMechanism
}

// Compare sorts by name, then by mechanism.
func (u ScramUser) Compare(other ScramUser) int {
	return cmp.Or(strings.Compare(u.Name, other.Name), cmp.Compare(u.Mechanism, other.Mechanism))
}
