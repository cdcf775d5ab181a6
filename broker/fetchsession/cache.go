// Package fetchsession keeps incremental fetch sessions (KIP-227): what a
// client asked for, so that its next fetch names only what changed, and what it
// was last told, so that the answer holds only what is new.
//
// A [Cache] is shared by all connections and bounded twice: in sessions, and in
// the partitions they hold together. One lock guards the cache and all its
// sessions; it is held while a request is merged or an answer is noted, never
// while records are read.
package fetchsession

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
)

const (
	initialEpoch = 0  // asks for a new session
	finalEpoch   = -1 // asks for none, and ends the one it names

	// maxPartitions bounds what all sessions hold together, at about 150 bytes
	// a partition. A fetch beyond it is answered in full, without a session.
	maxPartitions = 1_000_000
)

// Key names a partition as the client did: by topic id from Fetch v13 on, by
// name before.
type Key struct {
	Topic     string
	ID        protocol.TopicID
	Partition int32
}

// Wanted is a partition that a fetch asks for.
type Wanted struct {
	Key
	Offset             int64
	MaxBytes           int32
	CurrentLeaderEpoch int32 // -1: not checked
	LastFetchedEpoch   int32 // -1: not checked
}

// Answer is what decides whether an incremental answer must name a partition.
type Answer struct {
	HighWatermark int64
	LogStart      int64
	Records       bool // it has records
	Special       bool // it has an error, a diverging epoch or another replica to read from
}

// Cache holds the sessions.
type Cache struct {
	slots int           // how many sessions at most
	idle  time.Duration // how long a session is safe from being evicted

	mu sync.Mutex
	// Guarded by mu, with all that hangs below.
	sessions   map[int32]*session
	partitions int // held by all sessions
}

type session struct {
	id        int32
	epoch     int32 // that the next request must bear
	byID      bool  // its topics are named by id
	created   time.Time
	used      time.Time
	order     []*cached // what is read first; those that gave records go last
	partition map[Key]*cached
}

type cached struct {
	wanted        Wanted
	highWatermark int64 // last told, -1 before
	logStart      int64
	movesLast     bool
}

// New returns a cache of at most slots sessions, none of which is evicted for
// another within idle of its last use.
func New(slots int, idle time.Duration) *Cache {
	return &Cache{slots: slots, idle: idle, sessions: map[int32]*session{}}
}

// Len returns the number of sessions and of the partitions they hold.
func (c *Cache) Len() (sessions, partitions int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions), c.partitions
}

// Fetch is one request's view of its session.
type Fetch struct {
	Wanted []Wanted // in the order to read them; the caller's to keep

	cache       *Cache
	id          int32
	incremental bool
}

// SessionID is what the response tells the client: 0 for no session.
func (f *Fetch) SessionID() int32 { return f.id }

// Incremental reports whether partitions without news are left out of the
// response (see [Fetch.Keep]).
func (f *Fetch) Incremental() bool { return f.incremental }

// Open finds or makes the session that req asks for and merges req into it. The
// errors are FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH and
// FETCH_SESSION_TOPIC_ID_ERROR; the client then starts anew.
func (c *Cache) Open(req *kmsg.FetchRequest, now time.Time) (*Fetch, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if req.Version < 7 {
		return &Fetch{Wanted: wantedOf(req)}, nil
	}
	if req.SessionEpoch != initialEpoch && req.SessionEpoch != finalEpoch {
		return c.resume(req, now)
	}
	if s := c.sessions[req.SessionID]; s != nil {
		c.drop(s)
	}
	f := &Fetch{Wanted: wantedOf(req)}
	if req.SessionEpoch == initialEpoch && len(f.Wanted) > 0 && c.roomFor(len(f.Wanted), now) {
		s := c.create(f.Wanted, req.Version >= 13, now)
		f.cache, f.id = c, s.id
	}
	return f, nil
}

func (c *Cache) resume(req *kmsg.FetchRequest, now time.Time) (*Fetch, error) {
	s := c.sessions[req.SessionID]
	switch {
	case s == nil:
		return nil, kerr.FetchSessionIDNotFound
	case s.epoch != req.SessionEpoch:
		return nil, kerr.InvalidFetchSessionEpoch
	case s.byID != (req.Version >= 13):
		return nil, kerr.FetchSessionTopicIDError
	}
	c.merge(s, req)
	if len(s.order) == 0 {
		c.drop(s)
		return &Fetch{}, nil
	}
	s.used = now
	s.epoch = nextEpoch(s.epoch)
	f := &Fetch{cache: c, id: s.id, incremental: true, Wanted: make([]Wanted, len(s.order))}
	for i, p := range s.order {
		f.Wanted[i] = p.wanted
	}
	return f, nil
}

// nextEpoch skips what has a meaning of its own when it wraps.
func nextEpoch(epoch int32) int32 {
	if epoch <= 0 || epoch == 1<<31-1 {
		return 1
	}
	return epoch + 1
}

func (c *Cache) merge(s *session, req *kmsg.FetchRequest) {
	for _, w := range wantedOf(req) {
		if p := s.partition[w.Key]; p != nil {
			p.wanted = w
		} else if c.partitions < maxPartitions {
			c.add(s, w)
		}
	}
	forgotten := 0
	for _, t := range req.ForgottenTopics {
		for _, partition := range t.Partitions {
			key := Key{Topic: t.Topic, ID: t.TopicID, Partition: partition}
			if s.partition[key] != nil {
				delete(s.partition, key)
				forgotten++
			}
		}
	}
	if forgotten > 0 {
		c.partitions -= forgotten
		s.keep(func(p *cached) bool { return s.partition[p.wanted.Key] == p })
	}
}

func (c *Cache) add(s *session, w Wanted) {
	w.Topic = string([]byte(w.Topic)) // the request's strings may alias its buffer
	p := &cached{wanted: w, highWatermark: -1, logStart: -1}
	s.partition[w.Key] = p
	s.order = append(s.order, p)
	c.partitions++
}

func (c *Cache) create(wanted []Wanted, byID bool, now time.Time) *session {
	s := &session{id: c.freeID(), epoch: 1, byID: byID, created: now, used: now, partition: make(map[Key]*cached, len(wanted))}
	for _, w := range wanted {
		if s.partition[w.Key] == nil {
			c.add(s, w)
		}
	}
	c.sessions[s.id] = s
	return s
}

func (c *Cache) freeID() int32 {
	for {
		id := rand.Int32()
		if id != 0 && c.sessions[id] == nil {
			return id
		}
	}
}

func (c *Cache) drop(s *session) {
	c.partitions -= len(s.order)
	delete(c.sessions, s.id)
}

// roomFor reports whether a session of n partitions may be made, after evicting
// one where all slots are taken: the one unused for longest if that is longer
// than idle, else one older than idle that is smaller than the new one.
func (c *Cache) roomFor(n int, now time.Time) bool {
	if c.partitions+n > maxPartitions {
		return false
	}
	if len(c.sessions) < c.slots {
		return true
	}
	var oldest, smallest *session
	for _, s := range c.sessions {
		if oldest == nil || s.used.Before(oldest.used) {
			oldest = s
		}
		if now.Sub(s.created) > c.idle && (smallest == nil || len(s.order) < len(smallest.order)) {
			smallest = s
		}
	}
	switch {
	case oldest != nil && now.Sub(oldest.used) > c.idle:
		c.drop(oldest)
	case smallest != nil && len(smallest.order) < n:
		c.drop(smallest)
	default:
		return false
	}
	return true
}

// Keep notes what Wanted[i] is about to be told and reports whether the response
// must name the partition at all.
func (f *Fetch) Keep(i int, a Answer) bool {
	if f.cache == nil {
		return true
	}
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	s := f.cache.sessions[f.id]
	if s == nil || s.partition[f.Wanted[i].Key] == nil {
		return true
	}
	p := s.partition[f.Wanted[i].Key]
	news := a.Records || a.Special || a.HighWatermark != p.highWatermark || a.LogStart != p.logStart
	p.highWatermark, p.logStart = a.HighWatermark, a.LogStart
	if a.Special {
		p.highWatermark = -1 // what follows an error is news again
	}
	p.movesLast = a.Records
	return news || !f.incremental
}

// Throttled ends a fetch that is answered with nothing because its client is to wait,
// and returns the session that the answer is to name. A session that it asked for is not
// made: the client has to ask again.
func (f *Fetch) Throttled() (sessionID int32) {
	if f.cache == nil || f.incremental {
		return f.id
	}
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	if s := f.cache.sessions[f.id]; s != nil {
		f.cache.drop(s)
	}
	return 0
}

// Rotate ends an answer: the partitions that gave records go last, so that the
// next fetch gives the others their turn.
func (f *Fetch) Rotate() {
	if f.cache == nil {
		return
	}
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	if s := f.cache.sessions[f.id]; s != nil {
		s.rotate()
	}
}

func (s *session) rotate() {
	var last []*cached
	s.keep(func(p *cached) bool {
		if p.movesLast {
			p.movesLast = false
			last = append(last, p)
			return false
		}
		return true
	})
	s.order = append(s.order, last...)
}

func (s *session) keep(which func(*cached) bool) {
	kept := s.order[:0]
	for _, p := range s.order {
		if which(p) {
			kept = append(kept, p)
		}
	}
	clear(s.order[len(kept):])
	s.order = kept
}

func wantedOf(req *kmsg.FetchRequest) []Wanted {
	n := 0
	for i := range req.Topics {
		n += len(req.Topics[i].Partitions)
	}
	wanted := make([]Wanted, 0, n)
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			wanted = append(wanted, Wanted{
				Key:                Key{Topic: t.Topic, ID: t.TopicID, Partition: p.Partition},
				Offset:             p.FetchOffset,
				MaxBytes:           p.PartitionMaxBytes,
				CurrentLeaderEpoch: p.CurrentLeaderEpoch,
				LastFetchedEpoch:   p.LastFetchedEpoch,
			})
		}
	}
	return wanted
}
