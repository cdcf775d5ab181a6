package replica

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
)

// Sessions are the fetch sessions (KIP-227) of the nodes that follow this one, one for
// each. They differ from a consumer's in what a fetch costs: a partition tells the
// sessions that want it when it moves, and a fetch looks only at those that did.
// So partitions that rest cost nothing.
type Sessions struct {
	mu         sync.Mutex
	byFollower map[int32]*Session // guarded by mu
}

// Session is what one node follows here. From [Sessions.Open] to Close it is one
// request's.
type Session struct {
	sessions *Sessions
	follower int32
	id       int32 // 0: it ends with the request
	moves    moves[Wanted]
	gathering

	// Guarded by the sessions' mu.
	busy bool // with a request
	past bool // another has taken its place

	// The request's.
	find        Find
	epoch       int32 // that the next request must bear
	brokerEpoch int64
	incremental bool
	wanted      map[partitionKey]*Wanted
	looking     []*Wanted // what the request looks at
}

// Find returns the replica of a partition here, or why there is none.
type Find func(id protocol.TopicID, partition int32) (*Partition, error)

// Wanted is a partition that a session wants, and what the follower said of it last.
// All but its mover belongs to the request that has the session.
type Wanted struct {
	ID        protocol.TopicID
	Partition int32

	mover
	session *Session
	replica *Partition // that tells when it moves; nil where none was found

	offset, logStart                          int64
	leaderEpoch, lastFetchedEpoch, mostAtOnce int32

	told      toldEnds
	looking   bool // it is one of session.looking
	again     bool // there is more to say, whether it moves or not
	gave      int  // bytes of records
	forgotten bool // the session does not want it any more
}

// toldEnds is what a follower was told last of its leader's log; -1 where it was not.
type toldEnds struct{ highWatermark, logStart int64 }

var untold = toldEnds{-1, -1}

// byIDSince is the first version of Fetch that names topics by id.
const byIDSince = 13

// Epochs of a session that ask for a new one, and for none.
const (
	initialEpoch = 0
	finalEpoch   = -1
)

// NewSessions returns no sessions.
func NewSessions() *Sessions { return &Sessions{byFollower: map[int32]*Session{}} }

// Open finds or makes the session that a follower's request asks for, and merges the
// request into it. The caller closes it. The errors are FETCH_SESSION_ID_NOT_FOUND,
// INVALID_FETCH_SESSION_EPOCH, and UNSUPPORTED_VERSION for names in place of topic ids.
func (s *Sessions) Open(req *kmsg.FetchRequest, follower int32, find Find) (*Session, error) {
	if req.Version < byIDSince {
		return nil, fmt.Errorf("a node fetches with version %d, from %d on is served: %w", req.Version, byIDSince, kerr.UnsupportedVersion)
	}
	session, err := s.begin(req, follower)
	if err != nil {
		return nil, err
	}
	session.find = find
	session.merge(req)
	return session, nil
}

// begin makes a session the request's.
func (s *Sessions) begin(req *kmsg.FetchRequest, follower int32) (*Session, error) {
	if req.SessionEpoch != initialEpoch && req.SessionEpoch != finalEpoch {
		return s.resume(req, follower)
	}
	made := &Session{sessions: s, follower: follower, moves: newMoves[Wanted](), busy: true, wanted: map[partitionKey]*Wanted{}}
	s.mu.Lock()
	before := s.byFollower[follower]
	delete(s.byFollower, follower)
	if req.SessionEpoch == initialEpoch {
		made.id, made.epoch = rand.Int32N(1<<31-1)+1, 1
		s.byFollower[follower] = made
	} else {
		made.past = true
	}
	ended := before != nil && !before.busy
	if before != nil {
		before.past = true
	}
	s.mu.Unlock()
	if ended {
		before.end()
	}
	return made, nil
}

func (s *Sessions) resume(req *kmsg.FetchRequest, follower int32) (*Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	session := s.byFollower[follower]
	switch {
	case session == nil || session.id != req.SessionID || session.busy:
		return nil, kerr.FetchSessionIDNotFound
	case session.epoch != req.SessionEpoch:
		return nil, kerr.InvalidFetchSessionEpoch
	}
	session.busy, session.incremental = true, true
	if session.epoch++; session.epoch < 0 {
		session.epoch = 1
	}
	return session, nil
}

// Close ends the request. What it could not say will be looked at by the next, what
// gave records after the others.
func (s *Session) Close() {
	for _, gave := range []bool{false, true} {
		for _, w := range s.looking {
			if w.again && w.gave > 0 == gave {
				s.moves.add(w, &w.mover)
			}
		}
	}
	bytes := 0
	for _, w := range s.looking {
		w.looking = false
		bytes += w.gave
	}
	s.gathering.told(bytes)
	clear(s.looking)
	s.looking = s.looking[:0]
	s.sessions.mu.Lock()
	s.busy = false
	past := s.past
	s.sessions.mu.Unlock()
	if past {
		s.end()
	}
}

// end lets go of all partitions. The session belongs to the caller.
func (s *Session) end() {
	for _, w := range s.wanted {
		w.watch(nil)
	}
	clear(s.wanted)
}

// merge takes in what the follower says has changed.
func (s *Session) merge(req *kmsg.FetchRequest) {
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			s.want(t.TopicID, &t.Partitions[j])
		}
	}
	for i := range req.ForgottenTopics {
		t := &req.ForgottenTopics[i]
		for _, partition := range t.Partitions {
			key := partitionKey{id: t.TopicID, partition: partition}
			if w := s.wanted[key]; w != nil {
				w.watch(nil)
				w.forgotten = true
				delete(s.wanted, key)
			}
		}
	}
	if epoch := req.ReplicaState.Epoch; epoch != s.brokerEpoch {
		// What all partitions know of the follower is of a registration that is past.
		s.brokerEpoch = epoch
		for _, w := range s.wanted {
			s.moves.add(w, &w.mover)
		}
	}
}

func (s *Session) want(id protocol.TopicID, asked *kmsg.FetchRequestTopicPartition) {
	key := partitionKey{id: id, partition: asked.Partition}
	w := s.wanted[key]
	if w == nil {
		w = &Wanted{ID: id, Partition: asked.Partition, session: s, told: untold}
		s.wanted[key] = w
	}
	w.offset, w.logStart = asked.FetchOffset, asked.LogStartOffset
	w.leaderEpoch, w.lastFetchedEpoch, w.mostAtOnce = asked.CurrentLeaderEpoch, asked.LastFetchedEpoch, asked.PartitionMaxBytes
	s.moves.add(w, &w.mover)
}

// ID is what the response tells the follower: 0 for no session.
func (s *Session) ID() int32 { return s.id }

// Empty reports whether the session wants nothing.
func (s *Session) Empty() bool { return len(s.wanted) == 0 }

// Woken delivers when a partition has grown, or something else has happened that the
// follower should hear of at once.
func (s *Session) Woken() <-chan struct{} { return s.moves.woken }

// Look returns what is to be looked at: what has moved since the request before, and
// what that could not say. It is valid until the next call.
func (s *Session) Look() []*Wanted {
	s.looked()
	before := len(s.looking)
	s.looking = s.moves.take(s.looking)
	fresh := s.looking[before:]
	s.looking = s.looking[:before]
	for _, w := range fresh {
		w.letGo()
		if !w.looking && !w.forgotten {
			w.looking = true
			s.looking = append(s.looking, w)
		}
	}
	return s.looking
}

// Read answers the follower for one partition, and counts what it acknowledges. Of f,
// MaxBytes, AtLeastOne and Memory are the caller's.
func (w *Wanted) Read(f FollowerFetch) (FollowerAnswer, error) {
	p, err := w.session.find(w.ID, w.Partition)
	w.watch(p)
	w.again, w.gave = true, 0
	if err != nil {
		return FollowerAnswer{}, err
	}
	f.Replica, f.BrokerEpoch = w.session.follower, w.session.brokerEpoch
	f.Offset, f.LogStart, f.LeaderEpoch, f.LastFetchedEpoch = w.offset, w.logStart, w.leaderEpoch, w.lastFetchedEpoch
	f.MaxBytes = min(f.MaxBytes, int(w.mostAtOnce))
	answer, err := p.FetchAsFollower(f)
	if err == nil {
		w.again = answer.Diverging != nil || w.offset < p.log.End()
		w.gave = len(answer.Records)
	}
	return answer, err
}

// News notes what the follower is about to be told, and reports whether the response
// must name the partition at all. What follows an error is news again.
func (w *Wanted) News(a FollowerAnswer, err error) bool {
	now := toldEnds{a.HighWatermark, a.LogStart}
	special := err != nil || a.Diverging != nil
	news := special || len(a.Records) > 0 || now != w.told || !w.session.incremental
	if w.told = now; special {
		w.told = untold
	}
	return news
}

// watch lets a replica tell when it moves, nil for none, and no other.
func (w *Wanted) watch(p *Partition) {
	if w.replica == p {
		return
	}
	if w.replica != nil {
		w.replica.watchers.remove(w)
	}
	w.replica = p
	if p != nil {
		p.watchers.add(w)
	}
}

// watchers are what followers want of a partition.
type watchers struct {
	all atomic.Pointer[[]*Wanted] // replaced, never changed; nil: none

	mu sync.Mutex // held while it is replaced
}

func (ws *watchers) add(w *Wanted) {
	ws.replace(func(all []*Wanted) []*Wanted { return append(all, w) })
}

func (ws *watchers) remove(w *Wanted) {
	ws.replace(func(all []*Wanted) []*Wanted {
		return slices.DeleteFunc(all, func(other *Wanted) bool { return other == w })
	})
}

// replace lets fn change a copy.
func (ws *watchers) replace(fn func([]*Wanted) []*Wanted) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	var all []*Wanted
	if before := ws.all.Load(); before != nil {
		all = slices.Clone(*before)
	}
	if all = fn(all); len(all) == 0 {
		ws.all.Store(nil)
		return
	}
	ws.all.Store(&all)
}

// moved has followers hear of the partition with their next answer.
func (ws *watchers) moved() {
	if all := ws.all.Load(); all != nil {
		for _, w := range *all {
			w.session.moves.add(w, &w.mover)
		}
	}
}

// wake has them hear at once.
func (ws *watchers) wake() {
	if all := ws.all.Load(); all != nil {
		for _, w := range *all {
			w.session.moves.add(w, &w.mover)
			w.session.moves.wake()
		}
	}
}

// appended notes an append, of which they are to hear by [watchers.grown].
func (ws *watchers) appended() {
	if all := ws.all.Load(); all != nil {
		for _, w := range *all {
			w.session.appended.Add(1)
		}
	}
}

// grown has them hear at once, but for those that wait for more.
func (ws *watchers) grown() {
	if all := ws.all.Load(); all != nil {
		for _, w := range *all {
			w.session.moves.add(w, &w.mover)
			if s := w.session; s.appended.Load() >= s.enough.Load() {
				s.moves.wake()
			}
		}
	}
}
