package api

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/fetchsession"
	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/broker/wait"
)

// followerFetch is a Fetch by which another node copies what this one leads. It
// reads all that the log has, and acknowledges what lies below its offsets.
type followerFetch struct {
	handler *Handler
	req     *kmsg.FetchRequest
	session *fetchsession.Fetch
	led     []*replica.Partition // for each of session.Wanted, nil where refused
	refused []error
}

// fetchAsFollower answers a node that fetches as a replica, whose connection is
// known to be its own.
func (h *Handler) fetchAsFollower(r *listener.Request, req *kmsg.FetchRequest, session *fetchsession.Fetch) {
	f := &followerFetch{
		handler: h, req: req, session: session,
		led: make([]*replica.Partition, len(session.Wanted)), refused: make([]error, len(session.Wanted)),
	}
	for i := range session.Wanted {
		f.find(i)
	}
	answer, waited := f.readOrWait(r.Received.Add(time.Duration(req.MaxWaitMillis) * time.Millisecond))
	r.Waited(waited)
	response := fetchResponse{version: req.Version, sessionID: session.SessionID(), partitions: f.news(answer)}
	r.Reply(response.parts()...)
}

func (f *followerFetch) find(i int) {
	w := &f.session.Wanted[i]
	if f.req.Version >= 13 {
		_, f.led[i], f.refused[i] = f.handler.replicaByID(w.ID, w.Partition)
	} else {
		f.led[i], f.refused[i] = f.handler.replicaOf(w.Topic, w.Partition)
	}
}

// readOrWait reads until there are MinBytes, or something else to say, or the
// deadline has passed.
func (f *followerFetch) readOrWait(deadline time.Time) (answer []fetchedPartition, waited time.Duration) {
	answer, enough := f.read()
	if enough || time.Until(deadline) <= 0 {
		return answer, 0
	}
	poll, began := wait.NewPoll(), time.Now()
	for _, p := range f.led {
		if p != nil {
			p.ReplicaPolls().Add(poll)
			defer p.ReplicaPolls().Remove(poll)
		}
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for more := true; ; {
		release(answer)
		if answer, enough = f.read(); enough || !more {
			return answer, time.Since(began)
		}
		select {
		case <-poll.Woken():
		case <-timer.C:
			more = false
		case <-f.handler.serving.Done():
			more = false
		}
	}
}

// read answers each partition with what is there now.
func (f *followerFetch) read() (answer []fetchedPartition, enough bool) {
	answer = make([]fetchedPartition, len(f.led))
	got, left := 0, int(f.req.MaxBytes)
	for i := range f.led {
		answer[i] = f.readPartition(i, left, got == 0)
		got += len(answer[i].copied.Bytes())
		left = max(0, left-len(answer[i].copied.Bytes()))
		enough = enough || answer[i].special()
	}
	return answer, enough || got >= int(f.req.MinBytes) || len(f.led) == 0
}

func (f *followerFetch) readPartition(i, left int, first bool) fetchedPartition {
	w := &f.session.Wanted[i]
	told := fetchedPartition{key: w.Key, highWatermark: -1, lastStable: -1, logStart: -1}
	err := f.refused[i]
	if err == nil {
		var a replica.FollowerAnswer
		img, tp, follower := f.handler.image(), f.led[i].TopicPartition, followerOf(f.req)
		if !f.handler.throttle.MayRead(img, tp, follower) {
			left, first = 0, false // what it acknowledges counts all the same
		}
		a, err = f.led[i].FetchAsFollower(replica.FollowerFetch{
			Replica: follower, BrokerEpoch: f.brokerEpoch(), Offset: w.Offset, LogStart: w.LogStart,
			LeaderEpoch: w.CurrentLeaderEpoch, LastFetchedEpoch: w.LastFetchedEpoch,
			MaxBytes: min(left, int(w.MaxBytes)), AtLeastOne: first,
			Memory: func(bytes int) []byte {
				told.copied = listener.TakeMemory(bytes)
				return told.copied.Bytes()
			},
		})
		f.handler.throttle.Read(img, tp, follower, len(a.Records))
		told.highWatermark, told.logStart = a.HighWatermark, a.LogStart
		if a.Diverging != nil {
			told.diverging = &divergingEpoch{epoch: a.Diverging.Epoch, end: a.Diverging.Offset}
		}
	}
	if err != nil {
		told.copied.Release()
		told = fetchedPartition{key: w.Key, errorCode: errorCode(err), highWatermark: -1, lastStable: -1, logStart: -1}
	}
	return told
}

// brokerEpoch is that of the follower's registration, -1 where it does not say.
func (f *followerFetch) brokerEpoch() int64 {
	if f.req.Version >= 15 {
		return f.req.ReplicaState.Epoch
	}
	return -1
}

// news leaves out what an incremental session need not hear.
func (f *followerFetch) news(answer []fetchedPartition) []fetchedPartition {
	kept := answer[:0]
	for i, a := range answer {
		told := fetchsession.Answer{HighWatermark: a.highWatermark, LogStart: a.logStart, Records: len(a.copied.Bytes()) > 0, Special: a.special()}
		if f.session.Keep(i, told) {
			kept = append(kept, a)
		}
	}
	f.session.Rotate()
	return kept
}
