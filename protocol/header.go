package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Header is what stands before the body of every request.
type Header struct {
	Key           int16
	Version       int16
	CorrelationID int32
	ClientID      *string
}

// ErrHeader says that a frame does not begin as a request does. Who sent it does
// not speak Kafka's protocol.
var ErrHeader = errors.New("not a request header")

// ErrUnknownKey says that no API has the request's key.
var ErrUnknownKey = errors.New("unknown API key")

// HeaderSize is the least a request's header takes: key, version, correlation id
// and the client id's length.
const HeaderSize = 10

const apiVersions = 18

// ParseHeader reads the header of a request frame (without its length) and
// returns the body that follows, which aliases frame. Where the key is known but
// the version is not, the header is read as far as all versions agree: the
// correlation id is good, and the body is not to be looked at.
func ParseHeader(frame []byte) (h Header, body []byte, err error) {
	if len(frame) < HeaderSize {
		return h, nil, fmt.Errorf("%w: %d bytes, at least %d are needed", ErrHeader, len(frame), HeaderSize)
	}
	h.Key = int16(binary.BigEndian.Uint16(frame))
	h.Version = int16(binary.BigEndian.Uint16(frame[2:]))
	h.CorrelationID = int32(binary.BigEndian.Uint32(frame[4:]))
	if !KnownKey(h.Key) {
		return h, nil, fmt.Errorf("%w: %d", ErrUnknownKey, h.Key)
	}
	if h.Version < 0 {
		return h, nil, fmt.Errorf("%w: version %d of API %d", ErrHeader, h.Version, h.Key)
	}
	length, rest := int(int16(binary.BigEndian.Uint16(frame[8:]))), frame[HeaderSize:]
	if length < -1 || length > len(rest) {
		return h, nil, fmt.Errorf("%w: a client id of %d bytes, %d are there", ErrHeader, length, len(rest))
	}
	if length >= 0 {
		id := string(rest[:length])
		h.ClientID, rest = &id, rest[length:]
	}
	if !flexible(h.Key, h.Version) {
		return h, rest, nil
	}
	if body, err = skipTags(rest); err != nil {
		return h, nil, fmt.Errorf("%w: %w", ErrHeader, err)
	}
	return h, body, nil
}

// skipTags passes the tagged fields of a flexible header: none is known (KIP-482).
func skipTags(b []byte) ([]byte, error) {
	count, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, errors.New("no count of tagged fields")
	}
	b = b[n:]
	for ; count > 0; count-- {
		_, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errors.New("a tagged field without a number")
		}
		b = b[n:]
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, fmt.Errorf("a tagged field of %d bytes, %d are there", size, len(b)-max(n, 0))
		}
		b = b[n+int(size):]
	}
	return b, nil
}

// ResponseHeaderFlexible reports whether the response's header has tagged fields.
// That of ApiVersions never does: its reader does not know yet what the broker
// speaks.
func ResponseHeaderFlexible(key, version int16) bool {
	return key != apiVersions && KnownKey(key) && flexible(key, version)
}

// ErrResponseHeader says that an answer does not begin as one.
var ErrResponseHeader = errors.New("not a response header")

// ResponseBody returns the body of an answer from what follows its correlation id,
// which it aliases.
func ResponseBody(key, version int16, rest []byte) ([]byte, error) {
	if !ResponseHeaderFlexible(key, version) {
		return rest, nil
	}
	body, err := skipTags(rest)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResponseHeader, err)
	}
	return body, nil
}

// The requests that nodes send each other and Kafka has none for (package node).
const (
	firstNodeKey = 30000
	lastNodeKey  = 30002
)

// KnownKey reports whether an API has that key: one of Kafka's, or one of those that
// nodes send each other.
func KnownKey(key int16) bool {
	if key > kmsg.MaxKey {
		return key >= firstNodeKey && key <= lastNodeKey
	}
	return key >= 0 && flexibleFrom[key] > unknown
}

// NameOf returns the name of the API that has the key, "Unknown" where none has.
func NameOf(key int16) string {
	if key <= kmsg.MaxKey || !KnownKey(key) {
		return kmsg.NameForKey(key)
	}
	return schemas[key].name
}

// flexible reports whether the header of a known key has tagged fields. Those of
// the requests between nodes never do.
func flexible(key, version int16) bool {
	return key <= kmsg.MaxKey && version >= flexibleFrom[key]
}

// flexibleFrom is the first version of each of Kafka's APIs whose header has tagged
// fields (KIP-482), or unknown where no API has the key.
var flexibleFrom = func() (from [kmsg.MaxKey + 1]int16) {
	for key := range from {
		from[key] = firstFlexible(int16(key))
	}
	return from
}()

const unknown = -1

func firstFlexible(key int16) int16 {
	request := kmsg.RequestForKey(key)
	if request == nil {
		return unknown
	}
	for version := range request.MaxVersion() + 1 {
		request.SetVersion(version)
		if request.IsFlexible() {
			return version
		}
	}
	return math.MaxInt16
}
