package replica

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
)

// fetchSession is a follower's half of an incremental fetch session (KIP-227): what
// the leader was told, so that a fetch only names what has changed. Its fetcher's
// goroutine owns it.
type fetchSession struct {
	id    int32                      // 0: none
	epoch int32                      // of the next fetch, 0: a new session
	told  map[partitionKey]*followed // what the leader knows of, or will by the next fetch

	// What the next fetch is to say.
	want   []*followed
	forget map[partitionKey]struct{} // which the leader takes in after what is wanted
}

type partitionKey struct {
	id        protocol.TopicID
	partition int32
}

func newFetchSession() fetchSession {
	return fetchSession{told: map[partitionKey]*followed{}, forget: map[partitionKey]struct{}{}}
}

// restart lets the next fetch begin a new session, and end the one there was.
func (s *fetchSession) restart() {
	s.epoch = 0
	clear(s.told)
	s.said()
}

// isNew reports whether the next fetch begins a session, and so is to name all.
func (s *fetchSession) isNew() bool { return s.epoch == 0 }

// tell lets the leader know where a log stands, unless it does.
func (s *fetchSession) tell(one *followed, at position) {
	key := one.key()
	if s.told[key] == one && one.told == at {
		return
	}
	s.told[key], one.told = one, at
	s.want = append(s.want, one)
}

// leaveOut lets the leader forget a partition, if it knows of it.
func (s *fetchSession) leaveOut(key partitionKey) {
	if s.told[key] != nil {
		delete(s.told, key)
		s.forget[key] = struct{}{}
	}
}

// toldBefore reports whether the leader's session knows a partition from a term before
// the present one, until the next fetch. What the leader told it then may not have been
// heard, and would not be told again.
func (s *fetchSession) toldBefore(one *followed) bool {
	before := s.told[one.key()]
	_, forgets := s.forget[one.key()]
	return forgets || before != nil && before != one
}

// request puts into req what the leader must be told.
func (s *fetchSession) request(req *kmsg.FetchRequest, maxBytes int32) {
	req.SessionID, req.SessionEpoch = s.id, s.epoch
	at := map[protocol.TopicID]int{}
	for _, one := range s.want {
		key := one.key()
		i, known := at[key.id]
		if !known {
			i = len(req.Topics)
			at[key.id] = i
			t := kmsg.NewFetchRequestTopic()
			t.Topic, t.TopicID = one.term.partition.Topic, key.id
			req.Topics = append(req.Topics, t)
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, one.request(maxBytes))
	}
	clear(at)
	for key := range s.forget {
		i, known := at[key.id]
		if !known {
			i = len(req.ForgottenTopics)
			at[key.id] = i
			t := kmsg.NewFetchRequestForgottenTopic()
			t.TopicID = key.id
			req.ForgottenTopics = append(req.ForgottenTopics, t)
		}
		req.ForgottenTopics[i].Partitions = append(req.ForgottenTopics[i].Partitions, key.partition)
	}
	s.said()
}

// said forgets what there was to say.
func (s *fetchSession) said() {
	clear(s.want)
	s.want = s.want[:0]
	clear(s.forget)
}

func (f *followed) key() partitionKey {
	return partitionKey{id: f.term.partition.TopicID, partition: f.term.partition.Partition}
}

// request is what a fetch says of where the log stands.
func (f *followed) request(maxBytes int32) kmsg.FetchRequestTopicPartition {
	w := kmsg.NewFetchRequestTopicPartition()
	w.Partition, w.PartitionMaxBytes = f.term.partition.Partition, maxBytes
	w.FetchOffset, w.LogStartOffset = f.told.offset, f.told.logStart
	w.CurrentLeaderEpoch, w.LastFetchedEpoch = f.term.epoch, f.told.lastEpoch
	return w
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
