package api

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/fetchsession"
	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/broker/wait"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/storage/log"
)

// Fetch (1), versions 4 to 18.
//
//	4   isolation level, aborted transactions      5   log start offset
//	7   fetch sessions (KIP-227)                   9   current leader epoch (KIP-320)
//	10  zstd may be returned                       11  rack, preferred read replica (KIP-392)
//	12  flexible, last fetched epoch (KIP-595)     13  topic ids (KIP-516)
//	15  replica state as a tag (KIP-903)           16  node endpoints as a tag (KIP-951)
//	17  replica directory id (KIP-853)             18  the follower's high watermark (KIP-1166)

// fetch reads on the connection's goroutine, which waits there too when there
// is not enough to read yet: the connection's next request has to wait for this
// answer anyway.
func (h *Handler) fetch(r *listener.Request, req *kmsg.FetchRequest) {
	r.Role = roleOf(req)
	if follower := followerOf(req); follower >= 0 && h.actsAs(r, follower) {
		h.fetchAsFollower(r, req, follower)
		return
	}
	session, err := h.sessions.Open(req, r.Received)
	if err != nil {
		refused := fetchResponse{version: req.Version, errorCode: errorCode(err)}
		r.Reply(refused.parts()...)
		return
	}
	f := h.newFetch(r, req, session)
	answer := f.readOrWait(r.Received.Add(time.Duration(req.MaxWaitMillis)*time.Millisecond), h.serving.Done())
	r.Waited(f.waited)
	if wait := meterOf(r).fetched(r, recordBytes(answer)); wait > 0 {
		release(answer)
		throttled := fetchResponse{version: req.Version, throttle: wait, sessionID: session.Throttled()}
		r.Reply(throttled.parts()...)
		return
	}
	partitions := f.finish(answer)
	h.countFetched(partitions)
	response := fetchResponse{version: req.Version, sessionID: session.SessionID(), partitions: partitions}
	h.fetchHints(&response, r.Conn.Listener)
	r.Reply(response.parts()...)
}

// fetch is one Fetch request on its way.
type fetch struct {
	req     *kmsg.FetchRequest
	session *fetchsession.Fetch
	targets []fetchTarget // for each of session.Wanted
	most    int           // bytes that the answer may have
	left    int           // bytes that it may still grow by
	waited  time.Duration // for records to come

	selects bool            // readers may be sent to a replica in their rack
	img     *metadata.Image // by which that is chosen
	me      int32
}

// fetchTarget is where a wanted partition is to be read, or why it is not.
type fetchTarget struct {
	partition *replica.Partition
	err       error
}

func (h *Handler) newFetch(r *listener.Request, req *kmsg.FetchRequest, session *fetchsession.Fetch) *fetch {
	f := &fetch{req: req, session: session, most: meterOf(r).mostFetched(int(min(req.MaxBytes, h.config.FetchMaxBytes))), targets: make([]fetchTarget, len(session.Wanted))}
	if h.config.ReplicaSelector != "" && req.Rack != "" && req.Version >= readsAnyReplicaSince {
		f.selects, f.img, f.me = true, h.image(), h.config.NodeID
	}
	for i, w := range session.Wanted {
		f.targets[i] = h.fetchTarget(r, req, w)
	}
	return f
}

func (h *Handler) fetchTarget(r *listener.Request, req *kmsg.FetchRequest, w fetchsession.Wanted) fetchTarget {
	var partition *replica.Partition
	var err error
	name := w.Topic
	if req.Version >= 13 {
		name, partition, err = h.replicaByID(w.ID, w.Partition)
	} else {
		partition, err = h.replicaOf(name, w.Partition)
	}
	switch {
	case errors.Is(err, kerr.UnknownTopicID):
		return fetchTarget{err: err}
	case !h.allowed(r, security.Read, security.Resource{Type: security.Topic, Name: name}):
		return fetchTarget{err: kerr.TopicAuthorizationFailed}
	case err != nil:
		return fetchTarget{err: err}
	case followerOf(req) >= 0:
		// What a request says it is counts for nothing (CVE-2018-1288).
		return fetchTarget{err: fmt.Errorf("a fetch says that it is of replica %d and comes from %s: %w", followerOf(req), r.Conn.Principal, kerr.NotLeaderForPartition)}
	case req.Version < readsAnyReplicaSince && !partition.Leads():
		return fetchTarget{err: elsewhere(name, w.Partition)}
	}
	return fetchTarget{partition: partition}
}

// readsAnyReplicaSince is the first version whose consumers may read from a follower
// (KIP-392).
const readsAnyReplicaSince = 11

// followerOf returns the id of the replica that req says it fetches for,
// negative for a consumer.
func followerOf(req *kmsg.FetchRequest) int32 {
	if req.Version >= 15 {
		return req.ReplicaState.ID
	}
	return req.ReplicaID
}

// roleOf is what Kafka's metrics call a fetch besides.
func roleOf(req *kmsg.FetchRequest) string {
	if followerOf(req) >= 0 {
		return "FetchFollower"
	}
	return "FetchConsumer"
}

// readOrWait reads until the answer has req.MinBytes, or something to say at
// once, or deadline passes, or stopping closes.
func (f *fetch) readOrWait(deadline time.Time, stopping <-chan struct{}) []fetchedPartition {
	answer, enough := f.read()
	if enough || time.Until(deadline) <= 0 {
		return answer
	}
	poll := wait.NewPoll()
	for i := range f.targets {
		if p := f.targets[i].partition; p != nil {
			p.Polls().Add(poll)
			defer p.Polls().Remove(poll)
		}
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for waiting := true; ; {
		release(answer)
		answer, enough = f.read()
		if enough || !waiting {
			return answer
		}
		waiting = f.wait(poll, timer, stopping)
	}
}

// wait returns when there may be more to read, and reports whether it is worth
// waiting on if there is not enough.
func (f *fetch) wait(poll *wait.Poll, timer *time.Timer, stopping <-chan struct{}) (more bool) {
	defer func(from time.Time) { f.waited += time.Since(from) }(time.Now())
	select {
	case <-poll.Woken():
		return true
	case <-timer.C:
	case <-stopping:
	}
	return false
}

// read answers each partition with what is there now, and reports whether that
// is worth answering before the deadline.
func (f *fetch) read() (answer []fetchedPartition, enough bool) {
	f.left = f.most
	answer = make([]fetchedPartition, len(f.targets))
	got := 0
	for i := range f.targets {
		answer[i] = f.readPartition(i, got == 0)
		got += answer[i].records.Len
		enough = enough || answer[i].special()
	}
	return answer, enough || got >= min(int(f.req.MinBytes), f.most) || len(f.targets) == 0
}

// special reports whether the partition has something to say besides records.
func (p *fetchedPartition) special() bool {
	return p.errorCode != 0 || p.diverging != nil || p.preferred.told
}

// readPartition answers one partition. Only the first that has records may
// exceed the limits, so that a reader gets past a batch larger than them.
func (f *fetch) readPartition(i int, first bool) fetchedPartition {
	w, target := &f.session.Wanted[i], f.targets[i]
	answer := fetchedPartition{key: w.Key, highWatermark: -1, lastStable: -1, logStart: -1}
	err := target.err
	if hidesPartition(err) {
		answer.aborted = []log.AbortedTxn{}
	}
	if err == nil {
		answer.topic = target.partition.Topic
		err = f.readReplica(&answer, target.partition, w, first)
	}
	if err != nil {
		answer.errorCode = f.errorCode(err)
		return answer
	}
	f.left -= answer.records.Len
	return answer
}

// hidesPartition reports whether Kafka answers err before it has looked at the
// partition: then it says that no transactions were aborted, and not null.
func hidesPartition(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.TopicAuthorizationFailed)
}

// errorCode says a failed disk in a way that old clients know as a reason to
// try again.
func (f *fetch) errorCode(err error) int16 {
	if f.req.Version <= 5 && errors.Is(err, kerr.KafkaStorageError) {
		err = kerr.NotLeaderForPartition
	}
	return errorCode(err)
}

func (f *fetch) readReplica(answer *fetchedPartition, p *replica.Partition, w *fetchsession.Wanted, first bool) error {
	if err := p.CheckEpoch(w.CurrentLeaderEpoch); err != nil {
		return err
	}
	answer.highWatermark = p.HighWatermark()
	end := answer.highWatermark
	committedOnly := f.req.IsolationLevel == 1
	answer.lastStable = p.Log().LastStable(end)
	if committedOnly {
		end = answer.lastStable
		answer.aborted = []log.AbortedTxn{}
	}
	answer.logStart = p.Log().Start()
	if f.selects && p.Leads() {
		if answer.preferred.id, answer.preferred.told = preferredReplica(f.img, p, f.me, f.req.Rack, w.Offset); answer.preferred.told {
			return nil
		}
	}
	err := f.readRecords(answer, p.Log(), w, end, first)
	if err != nil {
		answer.highWatermark, answer.lastStable, answer.logStart, answer.aborted = -1, -1, -1, nil
		return err
	}
	if committedOnly && answer.records.Len > 0 {
		answer.aborted, err = p.Log().AbortedTransactions(w.Offset, end)
	}
	return err
}

// readRecords finds the records below end, or where the reader's log diverges.
func (f *fetch) readRecords(answer *fetchedPartition, l *log.Log, w *fetchsession.Wanted, end int64, first bool) (err error) {
	answer.diverging, err = replica.Diverges(l, w.Offset, w.LastFetchedEpoch)
	if err != nil || answer.diverging != nil {
		return err
	}
	answer.records, err = l.Read(w.Offset, min(int(w.MaxBytes), max(f.left, 0)), end, first)
	return err
}

// finish leaves out what an incremental session need not hear.
func (f *fetch) finish(answer []fetchedPartition) []fetchedPartition {
	kept := answer[:0]
	for i := range answer {
		a := answer[i]
		news := f.session.Keep(i, fetchsession.Answer{
			HighWatermark: a.highWatermark,
			LogStart:      a.logStart,
			Records:       a.records.Len > 0,
			Special:       a.special(),
		})
		if news {
			kept = append(kept, a)
		}
	}
	f.session.Rotate()
	return kept
}

// recordBytes is how much of records an answer has.
func recordBytes(answer []fetchedPartition) (n int) {
	for i := range answer {
		n += answer[i].records.Len
	}
	return n
}

func release(answer []fetchedPartition) {
	for i := range answer {
		answer[i].records.Close()
	}
}

func (h *Handler) countFetched(answer []fetchedPartition) {
	for i := range answer {
		switch p := &answer[i]; {
		case p.topic == "":
		case p.errorCode != 0:
			h.metrics.FetchFailed(p.topic)
		default:
			h.metrics.Fetched(p.topic, p.records.Len)
		}
	}
}
