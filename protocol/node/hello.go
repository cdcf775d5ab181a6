package node

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// HelloRequest is the first request on a connection between nodes. What follows on
// the connection is that node's.
type HelloRequest struct {
	version0
	helloKey

	ClusterID string
	NodeID    int32
	// Incarnation is a number that the process has drawn at its start, and that the
	// cluster's metadata knows since the node is registered. No client is told it.
	Incarnation [16]byte
}

// AppendTo appends the request's body.
func (r *HelloRequest) AppendTo(dst []byte) []byte {
	dst = appendText(dst, r.ClusterID)
	dst = appendInt32(dst, r.NodeID)
	return append(dst, r.Incarnation[:]...)
}

// ReadFrom reads the request's body.
func (r *HelloRequest) ReadFrom(src []byte) error {
	from := reader{left: src}
	r.ClusterID = from.text()
	r.NodeID = from.int32()
	copy(r.Incarnation[:], from.take(len(r.Incarnation)))
	return from.end("Hello request")
}

// ResponseKind returns an empty response.
func (*HelloRequest) ResponseKind() kmsg.Response { return new(HelloResponse) }

// HelloResponse says who was asked, and whether it takes the other for who it says
// it is. After an error nothing more is answered on the connection.
type HelloResponse struct {
	version0
	helloKey

	ErrorCode    int16
	ErrorMessage *string
	NodeID       int32 // of the node that answers
}

// AppendTo appends the response's body.
func (r *HelloResponse) AppendTo(dst []byte) []byte {
	dst = appendInt16(dst, r.ErrorCode)
	dst = appendNullableText(dst, r.ErrorMessage)
	return appendInt32(dst, r.NodeID)
}

// ReadFrom reads the response's body.
func (r *HelloResponse) ReadFrom(src []byte) error {
	from := reader{left: src}
	r.ErrorCode = from.int16()
	r.ErrorMessage = from.nullableText()
	r.NodeID = from.int32()
	return from.end("Hello response")
}

// RequestKind returns an empty request.
func (*HelloResponse) RequestKind() kmsg.Request { return new(HelloRequest) }

// String keeps the incarnation, which is a secret of the nodes, out of logs.
func (r *HelloRequest) String() string {
	return fmt.Sprintf("Hello of node %d in cluster %s", r.NodeID, r.ClusterID)
}
