package api

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// Metadata (3), versions 0 to 13.
//
//	1   controller, rack, internal topics; null asks for all topics, empty for none
//	2   cluster id                     3   throttle time
//	4   whether topics may be created  5   offline replicas
//	7   leader epoch                   8   authorized operations (KIP-430)
//	9   flexible                       10  topic ids (KIP-516)
//	11  no cluster operations          12  ask by topic id
//	13  an error code for the whole

func (h *Handler) metadata(r *listener.Request, req *kmsg.MetadataRequest) {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	if err := mayAskByID(req); err != nil {
		for _, asked := range req.Topics {
			resp.Topics = append(resp.Topics, refusedTopic(&asked, err))
		}
		r.ReplyMsg(resp)
		return
	}
	h.awaitLeaders(r, req)
	img := h.image() // without what is created now: see autoCreate
	if err := h.autoCreate(r, req, img); err != nil {
		h.logger.Error("topics could not be created automatically", "err", err)
	}
	resp.ClusterID = &img.ClusterID
	resp.ControllerID = controllerFor(img)
	for b := range img.Brokers() {
		if e, ok := endpointOf(b, r.Conn.Listener); ok && h.tellsOf(b) {
			broker := kmsg.NewMetadataResponseBroker()
			broker.NodeID, broker.Host, broker.Port = b.ID, e.Host, int32(e.Port)
			if b.Rack != "" {
				broker.Rack = &b.Rack
			}
			resp.Brokers = append(resp.Brokers, broker)
		}
	}
	resp.AuthorizedOperations = h.operations(r, req.IncludeClusterAuthorizedOperations, security.ClusterResource, clusterOperations)
	resp.Topics = h.metadataTopics(r, req, img)
	r.ReplyMsg(resp)
}

// tellsOf reports whether clients are told of a broker.
func (h *Handler) tellsOf(b *metadata.Broker) bool {
	return !b.Fenced || h.departures != nil && h.departures.mourns(b.ID)
}

// awaitLeaders waits while it is being decided who leads instead of a node that has
// just gone, where it led anything that the client asks for.
func (h *Handler) awaitLeaders(r *listener.Request, req *kmsg.MetadataRequest) {
	if h.departures == nil {
		return
	}
	began := time.Now()
	h.departures.await(h.serving, func(node int32) bool { return leadsAny(h.image(), req, node) })
	r.Waited(time.Since(began))
}

// leadsAny reports whether a node leads any of the partitions that are asked for.
func leadsAny(img *metadata.Image, req *kmsg.MetadataRequest, node int32) bool {
	leads := func(t *metadata.Topic) bool {
		return slices.ContainsFunc(t.Partitions, func(p metadata.Partition) bool { return p.Leader == node })
	}
	if wantsAllTopics(req) {
		for t := range img.Topics() {
			if leads(t) {
				return true
			}
		}
	}
	for _, asked := range req.Topics {
		t, found := img.TopicByID(asked.TopicID)
		if asked.Topic != nil {
			t, found = img.Topic(*asked.Topic)
		}
		if found && leads(t) {
			return true
		}
	}
	return false
}

// controllerFor is the node that clients are told is the controller: the active one,
// or where that serves no clients another broker, which sends what it is asked
// there. -1 where there is none.
func controllerFor(img *metadata.Image) int32 {
	if b, found := img.Broker(img.ControllerID); found && !b.Fenced {
		return img.ControllerID
	}
	for b := range img.Live() {
		return b.ID
	}
	return -1
}

// mayAskByID refuses ids in the versions that have the field but no meaning for it.
func mayAskByID(req *kmsg.MetadataRequest) error {
	for _, t := range req.Topics {
		if (req.Version == 10 || req.Version == 11) && t.TopicID != (protocol.TopicID{}) {
			return kerr.InvalidRequest
		}
	}
	return nil
}

func refusedTopic(asked *kmsg.MetadataRequestTopic, why error) kmsg.MetadataResponseTopic {
	told := kmsg.NewMetadataResponseTopic()
	told.ErrorCode, told.Topic, told.TopicID = errorCode(why), asked.Topic, asked.TopicID
	if asked.Topic != nil {
		told.IsInternal = metadata.IsInternal(*asked.Topic)
	}
	return told
}

// endpointOf is where a client that came in at the given listener reaches b.
func endpointOf(b *metadata.Broker, listenerName string) (metadata.Endpoint, bool) {
	for _, e := range b.Endpoints {
		if e.Listener == listenerName {
			return e, true
		}
	}
	return metadata.Endpoint{}, false
}

func wantsAllTopics(req *kmsg.MetadataRequest) bool {
	return req.Topics == nil || req.Version == 0 && len(req.Topics) == 0
}

func (h *Handler) metadataTopics(r *listener.Request, req *kmsg.MetadataRequest, img *metadata.Image) []kmsg.MetadataResponseTopic {
	topics := []kmsg.MetadataResponseTopic{}
	if wantsAllTopics(req) {
		for t := range img.Topics() {
			if h.may(r, security.Describe, topicResource(t.Name)) {
				topics = append(topics, h.metadataTopic(r, req, img, t))
			}
		}
		return topics
	}
	told := map[string]bool{} // a topic is told once, however often it is asked for
	for _, asked := range req.Topics {
		topic, err := h.askedTopic(r, req, img, &asked)
		key := string(asked.TopicID[:])
		if err == nil || topic.Topic != nil {
			key = "name " + *topic.Topic
		}
		if !told[key] {
			told[key] = true
			topics = append(topics, topic)
		}
	}
	return topics
}

func (h *Handler) askedTopic(r *listener.Request, req *kmsg.MetadataRequest, img *metadata.Image, asked *kmsg.MetadataRequestTopic) (kmsg.MetadataResponseTopic, error) {
	t, err := h.findTopic(r, img, asked.Topic, asked.TopicID)
	if err != nil {
		return refusedTopic(asked, err), err
	}
	return h.metadataTopic(r, req, img, t), nil
}

// findTopic finds a topic by its name, or by its id where no name is given. A
// client that may not see it does not learn whether a name exists.
func (h *Handler) findTopic(r *listener.Request, img *metadata.Image, name *string, id protocol.TopicID) (*metadata.Topic, error) {
	if name == nil {
		t, found := img.TopicByID(id)
		switch {
		case !found:
			return nil, kerr.UnknownTopicID
		case !h.allowed(r, security.Describe, topicResource(t.Name)):
			return nil, kerr.TopicAuthorizationFailed // without the name
		}
		return t, nil
	}
	if !h.allowed(r, security.Describe, topicResource(*name)) {
		return nil, kerr.TopicAuthorizationFailed
	}
	t, found := img.Topic(*name)
	if found {
		return t, nil
	}
	if err := controller.ValidateTopicName(*name); err != nil {
		return nil, err
	}
	return nil, kerr.UnknownTopicOrPartition
}

func (h *Handler) metadataTopic(r *listener.Request, req *kmsg.MetadataRequest, img *metadata.Image, t *metadata.Topic) kmsg.MetadataResponseTopic {
	told := kmsg.NewMetadataResponseTopic()
	told.Topic, told.TopicID, told.IsInternal = &t.Name, t.ID, t.Internal()
	told.AuthorizedOperations = h.operations(r, req.IncludeTopicAuthorizedOperations, topicResource(t.Name), topicOperations)
	told.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(t.Partitions))
	for i := range t.Partitions {
		s := h.partitionState(img, t, int32(i))
		p := &told.Partitions[i]
		p.Default()
		p.Partition, p.ErrorCode, p.Leader, p.LeaderEpoch = int32(i), s.errorCode, s.leader, t.Partitions[i].LeaderEpoch
		p.Replicas, p.ISR, p.OfflineReplicas = t.Partitions[i].Replicas, s.isr, s.offline
	}
	return told
}

// partitionState is what clients are told of a partition: its leader as long as
// that is up and its disk works.
type partitionState struct {
	errorCode    int16
	leader       int32
	isr, offline []int32
}

func (h *Handler) partitionState(img *metadata.Image, t *metadata.Topic, index int32) partitionState {
	p := &t.Partitions[index]
	s := partitionState{leader: p.Leader, isr: p.ISR, offline: img.OfflineReplicas(p)}
	if p.Leader == h.config.NodeID {
		if _, err := h.partitions.Get(t.Name, index); errors.Is(err, kerr.KafkaStorageError) {
			s.leader = -1
			if !slices.Contains(s.offline, h.config.NodeID) {
				s.offline = append(s.offline, h.config.NodeID)
			}
		}
	}
	if b, found := img.Broker(s.leader); !found || b.Fenced {
		s.leader, s.errorCode = -1, kerr.LeaderNotAvailable.Code
	}
	return s
}

// autoCreate creates the topics that a client asks for by name and that are not
// there, if the client and the broker want that. The client is still answered
// that there is no such topic, and asks again: Kafka answers before it creates
// them, and some clients look whether a topic is gone by a request that creates it.
func (h *Handler) autoCreate(r *listener.Request, req *kmsg.MetadataRequest, img *metadata.Image) error {
	if !h.config.AutoCreateTopics || req.Version >= 4 && !req.AllowAutoTopicCreation {
		return nil
	}
	var missing []string
	for _, asked := range req.Topics {
		if asked.Topic == nil || !h.mayCreate(r, *asked.Topic) {
			continue
		}
		if _, found := img.Topic(*asked.Topic); !found && controller.ValidateTopicName(*asked.Topic) == nil {
			missing = append(missing, *asked.Topic)
		}
	}
	return h.createByName(missing)
}

func (h *Handler) mayCreate(r *listener.Request, topic string) bool {
	return h.may(r, security.Create, security.ClusterResource) || h.allowed(r, security.Create, topicResource(topic))
}

// createByName creates topics with the broker's defaults. Those that are there
// already are left alone.
func (h *Handler) createByName(names []string) error {
	if len(names) == 0 {
		return nil
	}
	resp, err := decide(h, controller.AutoCreateRequest(h.image(), names, h.inputs()), func(img *metadata.Image) ([]metadata.Record, *kmsg.CreateTopicsResponse) {
		records, refused := h.controller.AutoCreate(img, names, h.inputs())
		return records, notCreated(refused)
	})
	if err != nil {
		return fmt.Errorf("create %d topics by name: %w", len(names), err)
	}
	for _, t := range resp.Topics {
		if why := kerr.ErrorForCode(t.ErrorCode); why != nil && !errors.Is(why, kerr.TopicAlreadyExists) {
			h.logger.Warn("a topic was not created automatically", "topic", t.Topic, "err", why)
		}
	}
	return nil
}

// notCreated answers for the topics that could not be created.
func notCreated(refused map[string]error) *kmsg.CreateTopicsResponse {
	resp := kmsg.NewPtrCreateTopicsResponse()
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		t := kmsg.NewCreateTopicsResponseTopic()
		t.Topic, t.ErrorCode = name, errorCode(refused[name])
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}
