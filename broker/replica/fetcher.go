package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/wait"
	"github.com/klamm-io/klamm/protocol"
)

const (
	firstBackoff = 20 * time.Millisecond // after one error; doubles with each that follows

	// flushPatience is how long a fetcher waits for the slowest disk. A partition that
	// takes longer is left out of the next fetch.
	flushPatience = 100 * time.Millisecond

	// interruptGap is the least time between two fetches that are given up so that
	// partitions which have come meanwhile need not wait for their end.
	interruptGap = 100 * time.Millisecond
)

// fetcher copies from one leader node what this node follows it in. One goroutine
// runs it: it fetches for all partitions at once, appends, waits for the flush,
// and acknowledges with its next fetch.
type fetcher struct {
	leader  int32
	r       *Replicator
	cancel  context.CancelFunc
	changed chan struct{} // room for one: partitions have come or gone

	mu sync.Mutex
	// Guarded by mu.
	partitions  map[*Partition]*followed
	giveUp      context.CancelFunc // ends the fetch that is under way, nil for none
	interrupted time.Time          // when one was last given up

	// The goroutine's own.
	session fetchSession
	backoff backoff
	memory  []byte // of the answer to the last fetch
}

// followed is a partition that a fetcher copies. Its back-off belongs to the
// fetcher's goroutine.
type followed struct {
	term *following
	backoff
	// leaveOut says that the next fetch is to be without it: the leader's session then
	// forgets what it told, which was not heard.
	leaveOut bool
}

// backoff is how long something rests that has failed.
type backoff struct {
	until time.Time
	last  time.Duration
}

// failed lets it rest for twice as long as the last time, up to most.
func (b *backoff) failed(now time.Time, most time.Duration) {
	b.last = min(max(2*b.last, firstBackoff), most)
	b.until = now.Add(b.last)
}

func newFetcher(leader int32, r *Replicator) *fetcher {
	return &fetcher{leader: leader, r: r, changed: make(chan struct{}, 1), partitions: map[*Partition]*followed{}}
}

// add takes a partition in, soon even where a fetch waits for the leader.
func (f *fetcher) add(term *following) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.partitions[term.partition] = &followed{term: term}
	select {
	case f.changed <- struct{}{}:
	default:
	}
	f.interrupt()
}

// interrupt sees to it that the fetch which is under way is given up. The caller
// holds mu.
func (f *fetcher) interrupt() {
	if f.giveUp == nil {
		return
	}
	now := time.Now()
	next := f.interrupted.Add(interruptGap)
	if next.Before(now) {
		next = now
	}
	time.AfterFunc(next.Sub(now), f.giveUp)
	f.giveUp, f.interrupted = nil, next
}

// remove takes a partition out and returns how many are left.
func (f *fetcher) remove(p *Partition) (left int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.partitions, p)
	return len(f.partitions)
}

// run fetches until ctx ends.
func (f *fetcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		ready, rest := f.ready(time.Now())
		if len(ready) == 0 {
			f.sleep(ctx, rest, f.changed)
			continue
		}
		response, err := f.fetch(ctx, ready, rest)
		if err != nil {
			f.session.restart()
			if !errors.Is(err, errInterrupted) {
				f.pause(ctx, err)
			}
			continue
		}
		f.backoff = backoff{}
		f.awaitFlushes(ctx, f.take(ctx, response))
		f.sleep(ctx, time.Duration(response.ThrottleMillis)*time.Millisecond, nil)
	}
}

// sleep waits for a while; less where one of woken comes.
func (f *fetcher) sleep(ctx context.Context, d time.Duration, woken <-chan struct{}) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-woken:
	case <-ctx.Done():
	}
}

// pause rests after a fetch that failed as a whole.
func (f *fetcher) pause(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	f.backoff.failed(now, f.r.config.FetchBackoff)
	f.r.deps.Logger.Debug("fetch from a leader failed", "leader", f.leader, "err", err, "backoff", f.backoff.last)
	f.sleep(ctx, f.backoff.last, nil)
}

// ready returns the partitions to fetch for and what the leader is told of them,
// and how long it is until another may be.
func (f *fetcher) ready(now time.Time) (ready map[partitionKey]toldPosition, rest time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.changed: // what has come is seen now
	default:
	}
	ready, rest = make(map[partitionKey]toldPosition, len(f.partitions)), f.r.config.FetchWait
	leftOut := false
	for p, one := range f.partitions {
		key := partitionKey{id: p.TopicID, partition: p.Partition}
		wait := one.until.Sub(now)
		if wait <= 0 {
			wait = f.r.deps.Throttled(p.TopicPartition)
		}
		at, flushed := one.term.position()
		switch {
		case !one.term.current():
		case one.leaveOut || f.session.toldBefore(key, one):
			one.leaveOut, leftOut, rest = false, true, time.Millisecond
		case wait > 0:
			rest = min(rest, wait)
		case !flushed:
			rest = min(rest, flushPatience)
		default:
			ready[key] = toldPosition{followed: one, position: at}
		}
	}
	if leftOut && len(ready) == 0 {
		f.session.restart() // there is no fetch that could be without them
	}
	return ready, rest
}

// errInterrupted says that a fetch was given up because partitions have come.
var errInterrupted = errors.New("partitions have come")

// fetch asks the leader, which may let it wait up to rest for records.
func (f *fetcher) fetch(ctx context.Context, ready map[partitionKey]toldPosition, rest time.Duration) (*kmsg.FetchResponse, error) {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaState.ID, req.ReplicaState.Epoch = f.r.config.Node, f.r.deps.BrokerEpoch()
	req.ReplicaID = req.ReplicaState.ID
	req.MaxWaitMillis = int32(max(rest, time.Millisecond) / time.Millisecond)
	req.MinBytes, req.MaxBytes = f.r.config.MinBytes, f.r.config.MaxBytes
	f.session.request(req, ready, f.r.config.PartitionMaxBytes)
	answer, err := f.send(ctx, req)
	if err != nil {
		return nil, err
	}
	response, is := answer.(*kmsg.FetchResponse)
	if !is {
		return nil, fmt.Errorf("broker %d answered a fetch with %T", f.leader, answer)
	}
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return nil, fmt.Errorf("fetch from broker %d: %w", f.leader, err)
	}
	f.session.answered(response.SessionID)
	return response, nil
}

// send sends a fetch that [fetcher.add] may interrupt.
func (f *fetcher) send(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	f.mu.Lock()
	f.giveUp = giveUp
	if len(f.changed) > 0 {
		f.interrupt() // it came after the look at who is ready
	}
	f.mu.Unlock()
	answer, err := f.r.deps.SendInto(ctx, f.leader, req, &f.memory)
	f.mu.Lock()
	interrupted := f.giveUp == nil
	f.giveUp = nil
	f.mu.Unlock()
	if err != nil && interrupted {
		return nil, errInterrupted
	}
	return answer, err
}

// take makes the leader's answer this node's. It returns the partitions whose logs
// have grown. What fails in one does not touch the others.
func (f *fetcher) take(ctx context.Context, response *kmsg.FetchResponse) (grown []*following) {
	now := time.Now()
	for i := range response.Topics {
		t := &response.Topics[i]
		for j := range t.Partitions {
			answer := &t.Partitions[j]
			told, asked := f.session.told[partitionKey{id: protocol.TopicID(t.TopicID), partition: answer.Partition}]
			if !asked {
				continue
			}
			err := f.takeOne(ctx, told, answer, now)
			switch {
			case err == nil:
				told.backoff = backoff{}
				if len(answer.RecordBatches) > 0 {
					f.r.deps.Received(told.term.partition.TopicPartition, len(answer.RecordBatches))
					grown = append(grown, told.term)
				}
			case errors.Is(err, errPast):
				f.unheard(told.term.partition)
			default:
				f.failed(told, err, now)
			}
		}
	}
	return grown
}

func (f *fetcher) takeOne(ctx context.Context, told toldPosition, answer *kmsg.FetchResponseTopicPartition, now time.Time) error {
	err := kerr.ErrorForCode(answer.ErrorCode)
	if errors.Is(err, kerr.OffsetOutOfRange) {
		return f.reset(ctx, told)
	}
	if err == nil {
		err = told.term.take(told.offset, answer, now)
	}
	return err
}

// unheard notes that an answer was for a term which has ended.
func (f *fetcher) unheard(p *Partition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one := f.partitions[p]; one != nil {
		one.leaveOut = true
	}
}

// failed lets a partition rest. Where its log is lost it goes. What fails again and
// again is told once.
func (f *fetcher) failed(told toldPosition, err error, now time.Time) {
	p, level, most := told.term.partition, slog.LevelDebug, f.r.config.FetchBackoff
	before := told.last
	told.backoff.failed(now, most)
	if before < most && told.last == most {
		level = slog.LevelWarn
	}
	if p.log.Failed() != nil {
		f.mu.Lock()
		delete(f.partitions, p)
		f.mu.Unlock()
		return // the log has said why
	}
	f.r.deps.Logger.Log(context.Background(), level, "a partition could not be copied from its leader", "partition", p.String(), "leader", f.leader, "err", err, "backoff", told.last)
}

// reset brings a log between its leader's ends, outside of which it lies: records
// went that it never had, or an unclean election took some that it has.
func (f *fetcher) reset(ctx context.Context, told toldPosition) error {
	end, err := f.leaderOffset(ctx, told, latestOffset)
	if err != nil {
		return err
	}
	start, err := f.leaderOffset(ctx, told, earliestOffset)
	if err != nil {
		return err
	}
	f.r.deps.Logger.Warn("a replica lies outside its leader's log", "partition", told.term.partition.String(), "end", told.offset,
		"leader", f.leader, "leaderStart", start, "leaderEnd", end)
	return told.term.reset(told.offset, start, end)
}

// Timestamps by which ListOffsets names an end of a log.
const (
	latestOffset   = -1
	earliestOffset = -2
)

// leaderOffset asks the leader for an end of its log.
func (f *fetcher) leaderOffset(ctx context.Context, told toldPosition, timestamp int64) (int64, error) {
	p := told.term.partition
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = f.r.config.Node
	t, one := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	one.Partition, one.CurrentLeaderEpoch, one.Timestamp = p.Partition, told.term.epoch, timestamp
	t.Topic, t.Partitions = p.Topic, append(t.Partitions, one)
	req.Topics = append(req.Topics, t)
	answer, err := f.r.deps.Send(ctx, f.leader, req)
	if err != nil {
		return -1, err
	}
	response, is := answer.(*kmsg.ListOffsetsResponse)
	if !is || len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return -1, fmt.Errorf("broker %d did not say where %s ends", f.leader, p)
	}
	found := response.Topics[0].Partitions[0]
	return found.Offset, kerr.ErrorForCode(found.ErrorCode)
}

// awaitFlushes waits until what was appended is committed, which the next fetch
// then acknowledges.
func (f *fetcher) awaitFlushes(ctx context.Context, grown []*following) {
	if len(grown) == 0 {
		return
	}
	poll, timer := wait.NewPoll(), time.NewTimer(flushPatience)
	defer timer.Stop()
	for _, term := range grown {
		term.partition.flushes.Add(poll)
		defer term.partition.flushes.Remove(poll)
	}
	for {
		for len(grown) > 0 && grown[0].settled() {
			grown = grown[1:]
		}
		if len(grown) == 0 {
			return
		}
		select {
		case <-poll.Woken():
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// settled reports whether nothing that was appended waits for its flush.
func (f *following) settled() bool {
	_, flushed := f.position()
	return flushed || !f.current() || f.partition.log.Failed() != nil
}
