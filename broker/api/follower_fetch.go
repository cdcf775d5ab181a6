package api

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/fetchsession"
	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
)

// followerFetch is a Fetch by which another node copies what this one leads. It
// reads all that the log has, and acknowledges what lies below its offsets.
type followerFetch struct {
	handler  *Handler
	req      *kmsg.FetchRequest
	follower int32
	session  *replica.Session
	answer   []followerAnswer // for each of what the session looks at
}

// followerAnswer is what one partition says.
type followerAnswer struct {
	replica.FollowerAnswer
	wanted *replica.Wanted
	copied listener.Memory // holds the records; owned
	err    error
}

// fetchAsFollower answers a node that fetches as a replica, whose connection is
// known to be its own.
func (h *Handler) fetchAsFollower(r *listener.Request, req *kmsg.FetchRequest, follower int32) {
	session, err := h.followers.Open(req, follower, h.findFollowed)
	if err != nil {
		refused := fetchResponse{version: req.Version, errorCode: errorCode(err)}
		r.Reply(refused.parts()...)
		return
	}
	f := &followerFetch{handler: h, req: req, follower: follower, session: session}
	r.Waited(f.readOrWait(r.Received.Add(time.Duration(req.MaxWaitMillis) * time.Millisecond)))
	response := fetchResponse{version: req.Version, sessionID: session.ID(), partitions: f.news()}
	session.Close()
	r.Reply(response.parts()...)
}

// findFollowed is the [replica.Find] of followers.
func (h *Handler) findFollowed(id protocol.TopicID, partition int32) (*replica.Partition, error) {
	_, p, err := h.replicaByID(id, partition)
	return p, err
}

// readOrWait reads until there are MinBytes, or something else to say, or the
// deadline has passed.
func (f *followerFetch) readOrWait(deadline time.Time) (waited time.Duration) {
	began := time.Now()
	hold := f.session.Gather(began)
	if enough := f.read(hold > 0); enough || !began.Before(deadline) {
		return 0
	}
	timer := time.NewTimer(f.patience(hold, deadline))
	defer timer.Stop()
	for {
		more := true
		select {
		case <-f.session.Woken():
		case <-timer.C:
		case <-f.handler.serving.Done():
			more = false
		}
		now := time.Now()
		more = more && now.Before(deadline)
		if hold = f.session.Gather(now); !more || hold <= 0 {
			if f.read(false) || !more {
				return now.Sub(began)
			}
		}
		timer.Reset(f.patience(hold, deadline))
	}
}

// patience is how long the fetch waits if nothing wakes it.
func (f *followerFetch) patience(hold time.Duration, deadline time.Time) time.Duration {
	if hold > 0 {
		return min(hold, time.Until(deadline))
	}
	return time.Until(deadline)
}

// read answers each partition that has moved with what is there now, and reports
// whether that is worth answering before the deadline. Where records are to be
// gathered first, only what the follower acknowledges counts.
func (f *followerFetch) read(gather bool) (enough bool) {
	for i := range f.answer {
		f.answer[i].copied.Release()
	}
	f.answer = f.answer[:0]
	img, got, left := f.handler.image(), 0, int(f.req.MaxBytes)
	if gather {
		left = 0
	}
	for _, w := range f.session.Look() {
		a := f.readPartition(img, w, left, got == 0 && !gather)
		got += len(a.Records)
		left = max(0, left-len(a.Records))
		enough = enough || a.special()
		f.answer = append(f.answer, a)
	}
	return enough || got >= int(f.req.MinBytes) && !gather || f.session.Empty()
}

func (f *followerFetch) readPartition(img *metadata.Image, w *replica.Wanted, left int, first bool) followerAnswer {
	told := followerAnswer{wanted: w}
	tp, throttled := f.throttled(img, w)
	if throttled {
		left, first = 0, false // what it acknowledges counts all the same
	}
	told.FollowerAnswer, told.err = w.Read(replica.FollowerFetch{
		MaxBytes: left, AtLeastOne: first,
		Memory: func(bytes int) []byte {
			told.copied = listener.TakeMemory(bytes)
			return told.copied.Bytes()
		},
	})
	if told.err != nil {
		told.copied.Release()
		return followerAnswer{wanted: w, err: told.err}
	}
	f.handler.throttle.Read(img, tp, f.follower, len(told.Records))
	return told
}

// throttled reports whether a partition, which it names, may not be copied now.
func (f *followerFetch) throttled(img *metadata.Image, w *replica.Wanted) (protocol.TopicPartition, bool) {
	t, known := img.TopicByID(w.ID)
	if !known {
		return protocol.TopicPartition{}, false
	}
	tp := protocol.TopicPartition{Topic: t.Name, Partition: w.Partition}
	return tp, !f.handler.throttle.MayRead(img, tp, f.follower)
}

// special reports whether the partition has something to say besides records.
func (a *followerAnswer) special() bool { return a.err != nil || a.Diverging != nil }

// news are what the response must name.
func (f *followerFetch) news() []fetchedPartition {
	kept := make([]fetchedPartition, 0, len(f.answer))
	for i := range f.answer {
		if a := &f.answer[i]; a.wanted.News(a.FollowerAnswer, a.err) {
			kept = append(kept, a.fetched())
		}
	}
	return kept
}

// fetched is the answer as the response has it.
func (a *followerAnswer) fetched() fetchedPartition {
	told := fetchedPartition{
		key:        fetchsession.Key{ID: a.wanted.ID, Partition: a.wanted.Partition},
		lastStable: -1, highWatermark: a.HighWatermark, logStart: a.LogStart, diverging: a.Diverging, copied: a.copied,
	}
	if a.err != nil {
		told.errorCode, told.highWatermark, told.logStart = errorCode(a.err), -1, -1
	}
	return told
}
