package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// The messages of a quorum begin with what they are, the node that sends them, and
// the id of its cluster.
const (
	raftMessage   byte = 0 // what raft says
	newMessage    byte = 1 // the sender's disk is new; is yours? Then a 1 if all are, else a 0
	existsMessage byte = 2 // the answer that it is not: the cluster exists
	joinMessage   byte = 3 // the sender wants a vote: a VoterJoining
)

// message is one of another node.
type message struct {
	kind  byte
	from  int32
	raft  *raftpb.Message // in a raftMessage
	all   bool            // in a newMessage
	voter metadata.Voter  // in a joinMessage
}

// post sends a message to another node.
func (r *replica) post(to int32, kind byte, body []byte) {
	c := r.quorum.config
	if to == c.NodeID || r.send == nil {
		return
	}
	m := append(make([]byte, 0, 6+len(c.ClusterID)+len(body)), kind)
	m = binary.BigEndian.AppendUint32(m, uint32(c.NodeID))
	m = append(m, byte(len(c.ClusterID)))
	m = append(m, c.ClusterID...)
	r.send(to, r.quorum.Endpoints(to), append(m, body...))
}

// decodeMessage reads a message, which must come from the given cluster. The result
// shares no memory with b.
func decodeMessage(b []byte, cluster string) (*message, error) {
	if len(b) < 6 || len(b) < 6+int(b[5]) {
		return nil, fmt.Errorf("%d bytes are too few", len(b))
	}
	m := &message{kind: b[0], from: int32(binary.BigEndian.Uint32(b[1:]))}
	if named := string(b[6 : 6+int(b[5])]); named != cluster {
		return nil, fmt.Errorf("node %d that sent it is in cluster %s, this one in %s: one of them has the other's address among its voters", m.from, named, cluster)
	}
	body := b[6+int(b[5]):]
	switch m.kind {
	case raftMessage:
		m.raft = new(raftpb.Message)
		return m, proto.Unmarshal(body, m.raft)
	case newMessage:
		m.all = len(body) > 0 && body[0] == 1
	case joinMessage:
		r, err := metadata.Decode(body)
		if err != nil {
			return nil, err
		}
		joining, is := r.(*metadata.VoterJoining)
		if !is || joining.Voter.ID != m.from {
			return nil, errors.New("it asks for another node's vote")
		}
		m.voter = joining.Voter
	}
	return m, nil
}

// Receive takes a message of another voter. One that comes faster than it can be
// taken is lost, as the network may lose it too. One of another cluster, or that is
// for another node, is refused.
func (q *Quorum) Receive(b []byte) error {
	m, err := decodeMessage(b, q.config.ClusterID)
	if err != nil {
		return fmt.Errorf("a message of the quorum: %w", err)
	}
	if m.raft != nil && nodeOf(m.raft.GetTo()) != q.config.NodeID {
		return fmt.Errorf("a message of the quorum is for node %d, this is node %d", nodeOf(m.raft.GetTo()), q.config.NodeID)
	}
	select {
	case q.replica.inbox <- m:
	default:
	}
	return nil
}
