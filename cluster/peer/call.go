package peer

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/node"
)

// call is one request on its way.
type call struct {
	key, version int16
	frame        []byte      // as it is sent, but for the correlation id
	answered     bool        // an answer is to come
	hello        bool        // it asks only whether the other end is there
	done         chan answer // has room for the one; nil: nobody waits
	memory       []byte      // for the answer, if its capacity is enough

	// Guarded by the link's mu, from when it is sent.
	id   int32
	sent time.Time
}

// answer is a response's body, or why there is none.
type answer struct {
	body []byte
	err  error
}

// correlationAt is where a request's correlation id stands in its frame.
const correlationAt = 8

// newCall encodes a request at the version that all nodes speak.
func (p *Peers) newCall(req kmsg.Request) (*call, error) {
	version := protocol.MaxVersion(req.Key())
	if version < 0 {
		return nil, fmt.Errorf("no node serves API %d", req.Key())
	}
	req.SetVersion(version)
	version = req.GetVersion() // a request may have one that it keeps
	return &call{
		key: req.Key(), version: version,
		frame:    kmsg.NewRequestFormatter(kmsg.FormatterClientID(p.config.ClientID)).AppendRequest(nil, req, 0),
		answered: req.ResponseKind() != nil,
	}, nil
}

func (c *call) number(id int32) {
	c.id = id
	binary.BigEndian.PutUint32(c.frame[correlationAt:], uint32(id))
}

func (c *call) finish(a answer) {
	if c.done != nil {
		c.done <- a
	}
}

// decode reads the response to req, whose byte slices alias body.
func (c *call) decode(req kmsg.Request, body []byte) (kmsg.Response, error) {
	body, err := protocol.ResponseBody(c.key, c.version, body)
	if err != nil {
		return nil, err
	}
	resp := req.ResponseKind()
	resp.SetVersion(c.version)
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("decode the answer: %w", err)
	}
	return resp, nil
}

// helloFrame is what this node says first on each connection.
func (p *Peers) helloFrame() []byte {
	req := &node.HelloRequest{ClusterID: p.config.ClusterID, NodeID: p.config.NodeID, Incarnation: p.config.Incarnation}
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID(p.config.ClientID)).AppendRequest(nil, req, 0)
}
