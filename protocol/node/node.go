// Package node holds the requests that the nodes of a Klamm cluster send each other
// and that Kafka has none for: Hello says who is at the other end of a connection,
// Consensus carries a message of the quorum, and ReadMetadata lets a node that does
// not vote follow the metadata. They are framed like Kafka's, with request header
// version 1 and response header version 0. Their keys lie far from Kafka's, and no
// answer to ApiVersions lists them.
//
// Invariant: ReadFrom proves each length against the bytes that are there before it
// believes it. What follows a message's end is not looked at, as in Kafka.
//
// The package holds no state and starts no goroutines. Byte slices that are decoded
// alias what they were decoded from; strings are copies.
package node

import "github.com/twmb/franz-go/pkg/kmsg"

// The keys of the requests.
const (
	HelloKey        int16 = 30000
	ConsensusKey    int16 = 30001
	ReadMetadataKey int16 = 30002
)

// RequestForKey returns an empty request, or nil where the key is none of those here.
func RequestForKey(key int16) kmsg.Request {
	switch key {
	case HelloKey:
		return new(HelloRequest)
	case ConsensusKey:
		return new(ConsensusRequest)
	case ReadMetadataKey:
		return new(ReadMetadataRequest)
	}
	return nil
}

// version0 is what a message says of its versions: there is one, without tagged
// fields. All nodes of a cluster must know it.
type version0 struct{}

// MaxVersion is 0.
func (version0) MaxVersion() int16 { return 0 }

// SetVersion does nothing: there is one version.
func (version0) SetVersion(int16) {}

// GetVersion is 0.
func (version0) GetVersion() int16 { return 0 }

// IsFlexible is false: no message has tagged fields.
func (version0) IsFlexible() bool { return false }

type (
	helloKey        struct{}
	consensusKey    struct{}
	readMetadataKey struct{}
)

// Key is [HelloKey].
func (helloKey) Key() int16 { return HelloKey }

// Key is [ConsensusKey].
func (consensusKey) Key() int16 { return ConsensusKey }

// Key is [ReadMetadataKey].
func (readMetadataKey) Key() int16 { return ReadMetadataKey }
