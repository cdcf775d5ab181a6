package api

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
)

// replicaOf returns this node's replica of a partition. One that only other nodes
// have is NOT_LEADER_OR_FOLLOWER, which sends a client to look for them.
func (h *Handler) replicaOf(topic string, index int32) (*replica.Partition, error) {
	p, err := h.partitions.Get(topic, index)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		if t, known := h.image().Topic(topic); known && hasPartition(t, index) {
			return nil, elsewhere(topic, index)
		}
	}
	return p, err
}

// replicaByID is replicaOf for clients that name topics by id. The topic's name is
// returned with the partition's error too.
func (h *Handler) replicaByID(id protocol.TopicID, index int32) (name string, p *replica.Partition, err error) {
	if name, p, err = h.partitions.GetByID(id, index); err == nil || errors.Is(err, kerr.KafkaStorageError) {
		return name, p, err
	}
	if t, known := h.image().TopicByID(id); known && hasPartition(t, index) {
		return t.Name, nil, elsewhere(t.Name, index)
	}
	return name, nil, err
}

func hasPartition(t *metadata.Topic, index int32) bool {
	return index >= 0 && int(index) < len(t.Partitions)
}

func elsewhere(topic string, index int32) error {
	return fmt.Errorf("this node has no replica of %s-%d: %w", topic, index, kerr.NotLeaderForPartition)
}

// led returns a partition that this node leads.
func (h *Handler) led(topic string, index int32) (*replica.Partition, error) {
	p, err := h.replicaOf(topic, index)
	if err == nil && !p.Leads() {
		return nil, fmt.Errorf("%s is not led from here: %w", p, kerr.NotLeaderForPartition)
	}
	return p, err
}

// currentLeader is who leads a partition as far as this node knows, and in which
// epoch; -1 for nobody. It is for a client that came to the wrong node (KIP-951).
func currentLeader(img *metadata.Image, topic string, id protocol.TopicID, index int32) (leader, epoch int32) {
	t, found := img.Topic(topic)
	if topic == "" {
		t, found = img.TopicByID(id)
	}
	if !found || !hasPartition(t, index) {
		return -1, -1
	}
	return t.Partitions[index].Leader, t.Partitions[index].LeaderEpoch
}

// sendsElsewhere reports whether a client that is told code is told as well who
// leads.
func sendsElsewhere(code int16) bool {
	return code == kerr.NotLeaderForPartition.Code || code == kerr.FencedLeaderEpoch.Code
}

// leaderHints tells a producer who leads the partitions that are not led from here.
func (h *Handler) leaderHints(resp *kmsg.ProduceResponse, listenerName string) {
	img := h.image()
	told := map[int32]bool{}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			if !sendsElsewhere(p.ErrorCode) {
				continue
			}
			p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = currentLeader(img, t.Topic, t.TopicID, p.Partition)
			if e, rack, known := nodeEndpoint(img, p.CurrentLeader.LeaderID, listenerName); known && !told[p.CurrentLeader.LeaderID] {
				told[p.CurrentLeader.LeaderID] = true
				b := kmsg.NewProduceResponseBroker()
				b.NodeID, b.Host, b.Port, b.Rack = p.CurrentLeader.LeaderID, e.Host, int32(e.Port), rack
				resp.Brokers = append(resp.Brokers, b)
			}
		}
	}
}

// fetchHints tells a reader who leads the partitions that are led elsewhere.
func (h *Handler) fetchHints(resp *fetchResponse, listenerName string) {
	if resp.version < fetchHintsSince {
		return
	}
	for i := range resp.partitions {
		p := &resp.partitions[i]
		if !sendsElsewhere(p.errorCode) {
			continue
		}
		img := h.image()
		p.leader.id, p.leader.epoch = currentLeader(img, p.key.Topic, p.key.ID, p.key.Partition)
		p.leader.told = true
		if e, rack, known := nodeEndpoint(img, p.leader.id, listenerName); known {
			resp.addNode(p.leader.id, e.Host, int32(e.Port), rack)
		}
	}
}

// fetchHintsSince is the first version of Fetch in which a partition's leader has
// room; the nodes' addresses came with version 16.
const fetchHintsSince = 12

// nodeEndpoint is where a client that came in at the given listener reaches a
// broker.
func nodeEndpoint(img *metadata.Image, id int32, listenerName string) (e metadata.Endpoint, rack *string, known bool) {
	b, found := img.Broker(id)
	if !found {
		return e, nil, false
	}
	if b.Rack != "" {
		rack = &b.Rack
	}
	e, known = endpointOf(b, listenerName)
	return e, rack, known
}
