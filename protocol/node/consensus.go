package node

import "github.com/twmb/franz-go/pkg/kmsg"

// ConsensusRequest carries a message of raft from one voter to another. Like the
// message it may be lost, and it has no answer: one that matters is a message too.
type ConsensusRequest struct {
	version0
	consensusKey

	Message []byte // as raft encodes it
}

// AppendTo appends the request's body.
func (r *ConsensusRequest) AppendTo(dst []byte) []byte { return appendBlob(dst, r.Message) }

// ReadFrom reads the request's body. Message aliases it.
func (r *ConsensusRequest) ReadFrom(src []byte) error {
	from := reader{left: src}
	r.Message = from.blob()
	return from.end("Consensus request")
}

// ResponseKind returns nil: nothing answers the request.
func (*ConsensusRequest) ResponseKind() kmsg.Response { return nil }
