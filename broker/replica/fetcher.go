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
// and acknowledges with its next fetch. Before that it looks only at the partitions
// that have moved since the last one, or that it put off.
type fetcher struct {
	leader int32
	r      *Replicator
	cancel context.CancelFunc
	moves  moves[followed] // woken: partitions have come or gone

	mu sync.Mutex
	// Guarded by mu.
	partitions  map[*Partition]*followed
	giveUp      context.CancelFunc // ends the fetch that is under way, nil for none
	interrupted time.Time          // when one was last given up

	// The goroutine's own.
	session   fetchSession
	backoff   backoff
	memory    []byte // of the answer to the last fetch
	looking   []*followed
	putOff    map[*followed]time.Time // until when
	throttled bool                    // some were, at the last look
}

// followed is a partition that a fetcher copies. All but its mover and its term belongs
// to the fetcher's goroutine.
type followed struct {
	term *following
	mover
	backoff
	told position // to the leader, where its session knows the partition
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
	return &fetcher{
		leader: leader, r: r, moves: newMoves[followed](), partitions: map[*Partition]*followed{},
		session: newFetchSession(), putOff: map[*followed]time.Time{},
	}
}

// add takes a partition in, soon even where a fetch waits for the leader.
func (f *fetcher) add(term *following) {
	f.mu.Lock()
	defer f.mu.Unlock()
	one := &followed{term: term}
	f.partitions[term.partition] = one
	f.moves.add(one, &one.mover)
	f.moves.wake()
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
	if one := f.partitions[p]; one != nil {
		delete(f.partitions, p)
		f.moves.add(one, &one.mover)
	}
	return len(f.partitions)
}

// run fetches until ctx ends.
func (f *fetcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		rest := f.look(time.Now())
		if len(f.session.told) == 0 {
			f.session.restart() // there is no fetch that could leave out what the leader knows
			f.sleep(ctx, rest, f.moves.woken)
			continue
		}
		response, err := f.fetch(ctx, rest)
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

// look lets the session tell the leader where the partitions stand that have moved, and
// leave out those that are not ready. It returns how long it is until another may be.
func (f *fetcher) look(now time.Time) (rest time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.moves.woken: // what has come is seen now
	default:
	}
	for one, until := range f.putOff {
		if !until.After(now) {
			f.moves.add(one, &one.mover)
		}
	}
	// Those that rest may be fetched until the quota is used up, by which all are
	// slowed down.
	if f.session.isNew() || f.throttled {
		for _, one := range f.partitions {
			f.moves.add(one, &one.mover)
		}
	}
	f.throttled = false
	f.looking = f.moves.take(f.looking[:0])
	for _, one := range f.looking {
		one.letGo()
		delete(f.putOff, one)
		if until, later := f.lookAt(one, now); later {
			f.putOff[one] = until
		}
	}
	clear(f.looking)
	rest = f.r.config.FetchWait
	for _, until := range f.putOff {
		rest = min(rest, max(until.Sub(now), time.Millisecond))
	}
	return rest
}

// lookAt looks at one partition, and returns until when it is put off, if it is. The
// caller holds mu.
func (f *fetcher) lookAt(one *followed, now time.Time) (until time.Time, later bool) {
	at, flushed := one.term.position()
	switch wait := f.wait(one, now); {
	case f.partitions[one.term.partition] != one || !one.term.current():
		if f.session.told[one.key()] == one {
			f.session.leaveOut(one.key())
		}
		return time.Time{}, false
	case one.leaveOut || f.session.toldBefore(one):
		one.leaveOut = false
		until = now // with the next fetch, which is to be soon
	case wait > 0:
		until = now.Add(wait)
	case !flushed:
		until = now.Add(flushPatience)
	default:
		f.session.tell(one, at)
		return time.Time{}, false
	}
	f.session.leaveOut(one.key())
	return until, true
}

// wait is how long a partition must not be fetched.
func (f *fetcher) wait(one *followed, now time.Time) time.Duration {
	if wait := one.until.Sub(now); wait > 0 {
		return wait
	}
	wait := f.r.deps.Throttled(one.term.partition.TopicPartition)
	f.throttled = f.throttled || wait > 0
	return wait
}

// errInterrupted says that a fetch was given up because partitions have come.
var errInterrupted = errors.New("partitions have come")

// fetch asks the leader, which may let it wait up to rest for records.
func (f *fetcher) fetch(ctx context.Context, rest time.Duration) (*kmsg.FetchResponse, error) {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaState.ID, req.ReplicaState.Epoch = f.r.config.Node, f.r.deps.BrokerEpoch()
	req.ReplicaID = req.ReplicaState.ID
	req.MaxWaitMillis = int32(max(rest, time.Millisecond) / time.Millisecond)
	req.MinBytes, req.MaxBytes = f.r.config.MinBytes, f.r.config.MaxBytes
	f.session.request(req, f.r.config.PartitionMaxBytes)
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
	if len(f.moves.woken) > 0 {
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
			one := f.session.told[partitionKey{id: protocol.TopicID(t.TopicID), partition: answer.Partition}]
			if one == nil {
				continue
			}
			err := f.takeOne(ctx, one, answer, now)
			switch {
			case err == nil:
				one.backoff = backoff{}
				if len(answer.RecordBatches) > 0 {
					f.r.deps.Received(one.term.partition.TopicPartition, len(answer.RecordBatches))
					grown = append(grown, one.term)
				}
			case errors.Is(err, errPast):
				f.unheard(one.term.partition)
			default:
				f.failed(one, err, now)
			}
			f.moves.add(one, &one.mover)
		}
	}
	return grown
}

func (f *fetcher) takeOne(ctx context.Context, one *followed, answer *kmsg.FetchResponseTopicPartition, now time.Time) error {
	err := kerr.ErrorForCode(answer.ErrorCode)
	if errors.Is(err, kerr.OffsetOutOfRange) {
		return f.reset(ctx, one)
	}
	if err == nil {
		err = one.term.take(one.told.offset, answer, now)
	}
	return err
}

// unheard notes that an answer was for a term which has ended.
func (f *fetcher) unheard(p *Partition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one := f.partitions[p]; one != nil {
		one.leaveOut = true
		f.moves.add(one, &one.mover)
	}
}

// failed lets a partition rest. Where its log is lost it goes. What fails again and
// again is told once.
func (f *fetcher) failed(one *followed, err error, now time.Time) {
	p, level, most := one.term.partition, slog.LevelDebug, f.r.config.FetchBackoff
	before := one.last
	one.backoff.failed(now, most)
	if before < most && one.last == most {
		level = slog.LevelWarn
	}
	if p.log.Failed() != nil {
		f.mu.Lock()
		delete(f.partitions, p)
		f.mu.Unlock()
		return // the log has said why
	}
	f.r.deps.Logger.Log(context.Background(), level, "a partition could not be copied from its leader", "partition", p.String(), "leader", f.leader, "err", err, "backoff", one.last)
}

// reset brings a log between its leader's ends, outside of which it lies: records
// went that it never had, or an unclean election took some that it has.
func (f *fetcher) reset(ctx context.Context, one *followed) error {
	end, err := f.leaderOffset(ctx, one, latestOffset)
	if err != nil {
		return err
	}
	start, err := f.leaderOffset(ctx, one, earliestOffset)
	if err != nil {
		return err
	}
	f.r.deps.Logger.Warn("a replica lies outside its leader's log", "partition", one.term.partition.String(), "end", one.told.offset,
		"leader", f.leader, "leaderStart", start, "leaderEnd", end)
	return one.term.reset(one.told.offset, start, end)
}

// Timestamps by which ListOffsets names an end of a log.
const (
	latestOffset   = -1
	earliestOffset = -2
)

// leaderOffset asks the leader for an end of its log.
func (f *fetcher) leaderOffset(ctx context.Context, one *followed, timestamp int64) (int64, error) {
	p := one.term.partition
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = f.r.config.Node
	t, asked := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	asked.Partition, asked.CurrentLeaderEpoch, asked.Timestamp = p.Partition, one.term.epoch, timestamp
	t.Topic, t.Partitions = p.Topic, append(t.Partitions, asked)
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
