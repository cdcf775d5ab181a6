package replica

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
)

// fetchSession is a follower's half of an incremental fetch session (KIP-227): what
// the leader was told, so that a fetch only names what has changed. Its fetcher's
// goroutine owns it.
type fetchSession struct {
	id    int32                         // 0: none
	epoch int32                         // of the next fetch, 0: a new session
	told  map[partitionKey]toldPosition // by the last fetch
}

type partitionKey struct {
	id        protocol.TopicID
	partition int32
}

// toldPosition is what the leader knows of a partition.
type toldPosition struct {
	*followed
	position
}

// restart lets the next fetch begin a new session, and end the one there was.
func (s *fetchSession) restart() { s.epoch = 0 }

// toldBefore reports whether the leader's session knows a partition from a term before
// the present one. What the leader told it then may not have been heard, and would not
// be told again.
func (s *fetchSession) toldBefore(key partitionKey, now *followed) bool {
	before, known := s.told[key]
	return s.epoch > 0 && known && before.followed != now
}

// request puts into req what the leader must be told so that it knows of all that
// are ready.
func (s *fetchSession) request(req *kmsg.FetchRequest, ready map[partitionKey]toldPosition, maxBytes int32) {
	req.SessionID, req.SessionEpoch = s.id, s.epoch
	topics := map[protocol.TopicID]int{}
	for key, now := range ready {
		if before, known := s.told[key]; known && before == now && s.epoch > 0 {
			continue
		}
		at, known := topics[key.id]
		if !known {
			at = len(req.Topics)
			topics[key.id] = at
			t := kmsg.NewFetchRequestTopic()
			t.Topic, t.TopicID = now.term.partition.Topic, key.id
			req.Topics = append(req.Topics, t)
		}
		req.Topics[at].Partitions = append(req.Topics[at].Partitions, now.request(key.partition, maxBytes))
	}
	if s.epoch > 0 {
		s.forget(req, ready)
	}
	s.told = ready
}

func (p toldPosition) request(partition, maxBytes int32) kmsg.FetchRequestTopicPartition {
	w := kmsg.NewFetchRequestTopicPartition()
	w.Partition, w.PartitionMaxBytes = partition, maxBytes
	w.FetchOffset, w.LogStartOffset = p.offset, p.logStart
	w.CurrentLeaderEpoch, w.LastFetchedEpoch = p.term.epoch, p.lastEpoch
	return w
}

// forget names the partitions that the leader knows of and that are not ready.
func (s *fetchSession) forget(req *kmsg.FetchRequest, ready map[partitionKey]toldPosition) {
	topics := map[protocol.TopicID]int{}
	for key, before := range s.told {
		if _, is := ready[key]; is {
			continue
		}
		at, known := topics[key.id]
		if !known {
			at = len(req.ForgottenTopics)
			topics[key.id] = at
			t := kmsg.NewFetchRequestForgottenTopic()
			t.Topic, t.TopicID = before.term.partition.Topic, key.id
			req.ForgottenTopics = append(req.ForgottenTopics, t)
		}
		req.ForgottenTopics[at].Partitions = append(req.ForgottenTopics[at].Partitions, key.partition)
	}
}

// answered notes the session that the leader keeps.
func (s *fetchSession) answered(id int32) {
	s.id = id
	switch {
	case id == 0:
		s.restart()
	case s.epoch == 1<<31-1:
		s.epoch = 1
	default:
		s.epoch++
	}
}
