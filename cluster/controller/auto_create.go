package controller

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// AutoCreate creates topics that a client or the broker itself asked for by
// name only. The broker's own topics get the layout that its configs have for
// them. Names that exist are left alone; those that cannot be created are in
// the map, with why.
func (*Controller) AutoCreate(img *metadata.Image, names []string, in Inputs) ([]metadata.Record, map[string]error) {
	var records []metadata.Record
	refused := map[string]error{}
	done := map[string]bool{}
	size := 0
	for _, name := range names {
		if _, exists := img.Topic(name); exists || done[name] {
			continue
		}
		done[name] = true
		topic, err := decideTopic(img, byNameOnly(img, name, in), 1, in)
		if err == nil && size+weight(topic.records()) > maxRecords {
			err = errTooMany
		}
		if err != nil {
			refused[name] = err
			continue
		}
		created := topic.records()
		records = append(records, created...)
		size += weight(created)
	}
	return records, refused
}

// AutoCreateRequest is what a broker that is not the active controller asks for in
// place of [Controller.AutoCreate], with the layout that its own configs have.
func AutoCreateRequest(img *metadata.Image, names []string, in Inputs) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = autoCreateVersion
	for _, name := range names {
		req.Topics = append(req.Topics, byNameOnly(img, name, in))
	}
	return req
}

// autoCreateVersion is the first that takes -1 for the controller's defaults and
// has nothing in its answer that is not needed.
const autoCreateVersion = 4

func byNameOnly(img *metadata.Image, name string, in Inputs) kmsg.CreateTopicsRequestTopic {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, -1, -1
	b := in.Config
	switch name {
	case metadata.ConsumerOffsets:
		topic.NumPartitions, topic.ReplicationFactor = b.OffsetsTopicPartitions, internalReplicas(img, "offsets.topic.replication.factor", b.OffsetsTopicReplicationFactor, in)
		topic.Configs = configList(
			"cleanup.policy", "compact",
			"compression.type", "producer",
			"segment.bytes", strconv.Itoa(int(b.OffsetsTopicSegmentBytes)))
	case metadata.TransactionState:
		topic.NumPartitions, topic.ReplicationFactor = b.TransactionTopicPartitions, internalReplicas(img, "transaction.state.log.replication.factor", b.TransactionTopicReplicationFactor, in)
		topic.Configs = configList(
			"cleanup.policy", "compact",
			"compression.type", "uncompressed",
			"min.insync.replicas", strconv.Itoa(txnMinISR(topic.ReplicationFactor, in)),
			"segment.bytes", strconv.Itoa(int(b.TransactionTopicSegmentBytes)),
			"unclean.leader.election.enable", "false")
	}
	return topic
}

// internalReplicas is how many replicas one of the cluster's own topics gets. Where
// that is not set they are three, as many as Kafka's, or as there are nodes: those
// that are registered, and those that vote and will be.
func internalReplicas(img *metadata.Image, key string, configured int16, in Inputs) int16 {
	if in.Config.IsSet(key) || !in.Config.Roles.Set {
		return configured
	}
	nodes := map[int32]bool{}
	for b := range img.Brokers() {
		nodes[b.ID] = true
	}
	if in.Config.Roles.Broker && in.Config.Roles.Controller {
		for v := range img.Voters() {
			nodes[v.ID] = true
		}
	}
	return int16(max(1, min(internalTopicReplicas, len(nodes))))
}

// txnMinISR is the min.insync.replicas of __transaction_state: where that is not set
// in a cluster two, as Kafka's, if it has as many replicas.
func txnMinISR(replicas int16, in Inputs) int {
	if in.Config.IsSet("transaction.state.log.min.isr") || !in.Config.Roles.Set {
		return int(in.Config.TransactionTopicMinISR)
	}
	return max(1, min(2, int(replicas)))
}

// internalTopicReplicas is what Kafka creates its own topics with.
const internalTopicReplicas = 3

func configList(pairs ...string) []kmsg.CreateTopicsRequestTopicConfig {
	var list []kmsg.CreateTopicsRequestTopicConfig
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, kmsg.CreateTopicsRequestTopicConfig{Name: pairs[i], Value: &pairs[i+1]})
	}
	return list
}
