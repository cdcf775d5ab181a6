package controller

import (
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
)

// newTopic is a topic that may come to be.
type newTopic struct {
	metadata.Topic
	configs map[string]string
}

// CreateTopics decides which of the topics come to be. From version 5 on the
// answer tells each new topic's partitions, replication factor and configs
// (KIP-525), from version 7 on its id; a caller that may not show the configs to
// the client takes them out again.
func (*Controller) CreateTopics(img *metadata.Image, req *kmsg.CreateTopicsRequest, in Inputs) ([]metadata.Record, *kmsg.CreateTopicsResponse) {
	if partitionsWanted(req.Topics) > maxRecords {
		return nil, refuseAll(req, errTooManyPartitions)
	}
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	var records []metadata.Record
	times := countNames(req.Topics)
	for _, wanted := range req.Topics {
		if times[wanted.Topic] == 0 {
			continue // came twice, and was answered the first time
		}
		topic, err := decideTopic(img, wanted, times[wanted.Topic], in)
		times[wanted.Topic] = 0
		if err == nil {
			records = append(records, topic.records()...)
		}
		resp.Topics = append(resp.Topics, topic.answer(wanted.Topic, err, img, in))
	}
	switch {
	case weight(records) > maxRecords:
		return nil, refuseAll(req, errTooMany)
	case req.ValidateOnly:
		return nil, resp
	}
	return records, resp
}

// partitionsWanted counts before anything is laid out.
func partitionsWanted(topics []kmsg.CreateTopicsRequestTopic) (n int) {
	for _, t := range topics {
		n += max(len(t.ReplicaAssignment), int(t.NumPartitions), 1)
	}
	return n
}

func countNames(topics []kmsg.CreateTopicsRequestTopic) map[string]int {
	times := map[string]int{}
	for _, t := range topics {
		times[t.Topic]++
	}
	return times
}

// refuseAll answers a request that asks for too much as a whole.
func refuseAll(req *kmsg.CreateTopicsRequest, why error) *kmsg.CreateTopicsResponse {
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	names := slices.Sorted(maps.Keys(countNames(req.Topics)))
	for _, name := range names {
		resp.Topics = append(resp.Topics, (*newTopic)(nil).answer(name, why, nil, Inputs{}))
	}
	return resp
}

// weight is how many records Kafka would write for these.
func weight(records []metadata.Record) int {
	n := len(records)
	for _, r := range records {
		if created, is := r.(*metadata.TopicCreated); is {
			n += len(created.Topic.Partitions)
		}
	}
	return n
}

func decideTopic(img *metadata.Image, wanted kmsg.CreateTopicsRequestTopic, times int, in Inputs) (*newTopic, error) {
	switch {
	case times > 1:
		return nil, refuse(kerr.InvalidRequest, "Duplicate topic name.")
	case wanted.Topic == metadataTopic:
		return nil, refuse(kerr.InvalidRequest, "Creation of internal topic %s is prohibited.", metadataTopic)
	}
	if err := nameFree(img, wanted.Topic); err != nil {
		return nil, err
	}
	configs, err := initialConfigs(wanted.Configs)
	if err != nil {
		return nil, err
	}
	partitions, err := initialPartitions(img, wanted, in)
	if err != nil {
		return nil, err
	}
	return &newTopic{
		Topic:   metadata.Topic{Name: wanted.Topic, ID: in.NewTopicID(), Partitions: partitions},
		configs: configs,
	}, nil
}

// initialConfigs returns the configs that a topic is created with. Of a key that
// came twice the last value counts.
func initialConfigs(wanted []kmsg.CreateTopicsRequestTopicConfig) (map[string]string, error) {
	var null []string
	configs := map[string]string{}
	for _, c := range wanted {
		if c.Value == nil {
			null = append(null, c.Name)
		} else {
			configs[c.Name] = *c.Value
		}
	}
	if len(null) > 0 {
		return nil, refuse(kerr.InvalidConfig, "Null value not supported for topic configs: %s", strings.Join(null, ","))
	}
	return configs, config.ValidateTopic(configs)
}

// initialPartitions lays out a topic by number or by the client's assignment.
func initialPartitions(img *metadata.Image, wanted kmsg.CreateTopicsRequestTopic, in Inputs) ([]metadata.Partition, error) {
	count, factor := int(wanted.NumPartitions), int(wanted.ReplicationFactor)
	switch {
	case len(wanted.ReplicaAssignment) > 0:
		return assignedPartitions(img, wanted)
	case factor < -1 || factor == 0:
		return nil, refuse(kerr.InvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value.")
	case count < -1 || count == 0:
		return nil, refuse(kerr.InvalidPartitions, "Number of partitions was set to an invalid non-positive value.")
	}
	if count == -1 {
		count = int(in.Config.NumPartitions)
	}
	if factor == -1 {
		factor = int(in.Config.DefaultReplicationFactor)
	}
	return placePartitions(img, nil, img.NumPartitions(), count, factor)
}

func assignedPartitions(img *metadata.Image, wanted kmsg.CreateTopicsRequestTopic) ([]metadata.Partition, error) {
	const manual = "A manual partition assignment was specified, but "
	switch {
	case wanted.ReplicationFactor != -1:
		return nil, refuse(kerr.InvalidRequest, manual+"replication factor was not set to -1.")
	case wanted.NumPartitions != -1:
		return nil, refuse(kerr.InvalidRequest, manual+"numPartitions was not set to -1.")
	}
	byIndex := map[int32]metadata.Partition{}
	factor := 0
	for _, a := range wanted.ReplicaAssignment {
		if _, twice := byIndex[a.Partition]; twice {
			return nil, refuse(kerr.InvalidReplicaAssignment, "Found multiple manual partition assignments for partition %d", a.Partition)
		}
		if err := checkReplicas(img, a.Replicas, factor); err != nil {
			return nil, err
		}
		factor = len(a.Replicas)
		p, err := newPartition(img, a.Replicas, kerr.InvalidReplicaAssignment, int(a.Partition))
		if err != nil {
			return nil, err
		}
		byIndex[a.Partition] = p
	}
	partitions := make([]metadata.Partition, len(byIndex))
	for i := range partitions {
		p, assigned := byIndex[int32(i)]
		if !assigned {
			return nil, refuse(kerr.InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence")
		}
		partitions[i] = p
	}
	return partitions, nil
}

func (t *newTopic) records() []metadata.Record {
	records := []metadata.Record{&metadata.TopicCreated{Topic: t.Topic}}
	return append(records, configRecords(metadata.TopicResource(t.Name), nil, t.configs)...)
}

// answer tells the client of its topic, which is nil where err is not.
func (t *newTopic) answer(name string, err error, img *metadata.Image, in Inputs) kmsg.CreateTopicsResponseTopic {
	told := kmsg.NewCreateTopicsResponseTopic()
	told.Topic = name
	told.ErrorCode, told.ErrorMessage = answer(err)
	if err != nil {
		return told
	}
	told.TopicID = t.ID
	told.NumPartitions = int32(len(t.Partitions))
	told.ReplicationFactor = int16(len(t.Partitions[0].Replicas))
	for _, e := range in.Config.DescribeTopic(img.Config(metadata.BrokerResource("")), nil, t.configs) {
		told.Configs = append(told.Configs, describeConfig(e))
	}
	return told
}

func describeConfig(e config.Entry) kmsg.CreateTopicsResponseTopicConfig {
	told := kmsg.NewCreateTopicsResponseTopicConfig()
	told.Name, told.Source, told.ReadOnly, told.IsSensitive = e.Name, int8(e.Source), e.ReadOnly, e.Sensitive
	if !e.Sensitive && !e.Null {
		told.Value = &e.Value
	}
	return told
}
