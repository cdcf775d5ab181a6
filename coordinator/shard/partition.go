package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol/record"
)

// replayLimit is what a compressed batch of the log may unfold to.
const replayLimit = 256 << 20

// machine is the state of one partition: a step machine, rebuilt from the
// partition's records.
type machine interface {
	// Replay takes in a record that was appended before, in order.
	Replay(key, value []byte, now time.Time) error
	// Loaded ends the replay.
	Loaded(now time.Time) step.Output
}

// transactional is a machine in whose records transactions take part.
type transactional interface {
	// ReplayPending takes in a record that counts only if the producer's
	// transaction commits.
	ReplayPending(producerID int64, key, value []byte, now time.Time) error
	// ReplayMarker ends the producer's transaction.
	ReplayMarker(producerID int64, commit bool, now time.Time)
}

// unloader is a machine in which requests wait for one another.
type unloader interface {
	// Unload answers them. No step follows.
	Unload() step.Output
}

// partition is the coordinator of one partition of its topic, in one leader epoch.
type partition[M machine] struct {
	epoch  int32
	log    Log
	logger *slog.Logger
	act    func(step.Effect) // does what the machine wants done; nil where it wants nothing
	// term lasts until the partition is given up: what runs for it ends then.
	term context.Context
	end  context.CancelFunc

	mu sync.Mutex
	// Guarded by mu. While it loads, the machine is the loader's.
	machine   M
	state     error                 // nil while it serves; else what clients are told
	appended  int64                 // offset of the last record that was appended, -1 for none
	postponed []func(M) step.Output // steps to take once it is loaded
}

// newPartition returns a partition that is to be loaded.
func newPartition[M machine](epoch int32, log Log, m M, logger *slog.Logger) *partition[M] {
	p := &partition[M]{epoch: epoch, log: log, logger: logger, machine: m, state: kerr.CoordinatorLoadInProgress}
	p.term, p.end = context.WithCancel(context.Background())
	return p
}

// over reports whether the partition was given up.
func (p *partition[M]) over() bool { return p.term.Err() != nil }

// deliver hands a response to the request that waits for it.
type deliver func(any)

// load takes in the log, and then serves, unless the partition is given up
// meanwhile. Until then nobody else touches the machine, so requests are told to come
// back instead of waiting for the lock.
func (p *partition[M]) load() error {
	err := p.replayAll()
	p.mu.Lock()
	switch {
	case p.over():
		p.mu.Unlock()
		return nil
	case err != nil:
		p.state, p.postponed = kerr.CoordinatorNotAvailable, nil
		p.mu.Unlock()
		return err
	}
	p.state, p.appended = nil, -1
	out := p.machine.Loaded(time.Now())
	for _, take := range p.postponed {
		out = then(out, func() step.Output { return take(p.machine) })
	}
	p.postponed = nil
	p.finish(out)
	return nil
}

// then lets one more step follow all those that follow from out.
func then(out step.Output, more func() step.Output) step.Output {
	next := out.Next
	out.Next = more
	if next != nil {
		out.Next = func() step.Output { return then(next(), more) }
	}
	return out
}

// errGivenUp is why a load stopped that nobody waits for any more.
var errGivenUp = errors.New("the partition is led elsewhere, or anew")

// replayAll takes in everything that the log has.
func (p *partition[M]) replayAll() error {
	var scratch record.Scratch
	now := time.Now()
	return p.log.Replay(func(b record.Batch) error {
		if p.over() {
			return errGivenUp
		}
		if b.Attributes().Control() {
			p.replayMarker(b, &scratch, now)
			return nil
		}
		return b.Each(&scratch, replayLimit, func(r *record.Record) error {
			p.replay(b, r, now)
			return nil
		})
	})
}

// replay takes in one record. One that cannot be read is left out: the others
// are worth more than stopping.
func (p *partition[M]) replay(b record.Batch, r *record.Record, now time.Time) {
	var err error
	if t, ok := any(p.machine).(transactional); ok && b.Attributes().Transactional() {
		err = t.ReplayPending(b.ProducerID(), r.Key, r.Value, now)
	} else {
		err = p.machine.Replay(r.Key, r.Value, now)
	}
	if err != nil {
		p.logger.Error("a record of a coordinator cannot be read and is left out", "offset", b.BaseOffset()+int64(r.OffsetDelta), "err", err)
	}
}

func (p *partition[M]) replayMarker(b record.Batch, scratch *record.Scratch, now time.Time) {
	t, ok := any(p.machine).(transactional)
	if !ok {
		return
	}
	err := b.Each(scratch, replayLimit, func(r *record.Record) error {
		if _, kind, known := record.ControlType(r.Key); known && kind <= record.ControlCommit {
			t.ReplayMarker(b.ProducerID(), kind == record.ControlCommit, now)
		}
		return nil
	})
	if err != nil {
		p.logger.Error("a marker cannot be read and is left out", "offset", b.BaseOffset(), "err", err)
	}
}

// resign gives the partition up. Who waits for its machine is sent elsewhere.
func (p *partition[M]) resign() {
	p.mu.Lock()
	served := p.state == nil
	p.state, p.postponed = kerr.NotCoordinator, nil
	p.end()
	var out step.Output
	if u, ok := any(p.machine).(unloader); ok && served {
		out = u.Unload()
	}
	p.finish(out)
}

// serving reports what clients are told instead of an answer.
func (p *partition[M]) serving() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// step takes one step: its records are appended under the lock, its replies sent
// after it. It returns why no step could be taken.
func (p *partition[M]) step(take func(M) step.Output) error {
	p.mu.Lock()
	if p.state != nil {
		defer p.mu.Unlock()
		return p.state
	}
	p.finish(take(p.machine))
	return nil
}

// eventually takes a step, if need be once the partition is loaded; none where it is
// not served, nor will be.
func (p *partition[M]) eventually(take func(M) step.Output) {
	p.mu.Lock()
	switch {
	case p.state == nil:
		p.finish(take(p.machine))
		return
	case errors.Is(p.state, kerr.CoordinatorLoadInProgress):
		p.postponed = append(p.postponed, take)
	}
	p.mu.Unlock()
}

// finish appends what a step wrote, takes the steps that follow from it, lets go
// of mu, which the caller holds, and does the rest.
func (p *partition[M]) finish(out step.Output) {
	held := p.writeAll(out.Writes)
	replies, later := out.Replies, waiting{p.appended, out.Later, out.Effects}
	for next := out.Next; next != nil; {
		out := next()
		held = append(held, p.writeAll(out.Writes)...)
		replies = append(replies, out.Replies...)
		later = waiting{p.appended, append(later.replies, out.Later...), append(later.effects, out.Effects...)}
		next = out.Next
	}
	p.mu.Unlock()
	for _, r := range replies {
		r.To.(deliver)(r.Response)
	}
	for _, h := range held {
		p.await(h)
	}
	p.await(later)
}

// waiting are replies and effects that wait until the record at offset is
// committed; for nothing, where offset is negative.
type waiting struct {
	offset  int64
	replies []step.Reply
	effects []step.Effect
}

func (p *partition[M]) await(w waiting) {
	if len(w.replies) > 0 || len(w.effects) > 0 {
		p.whenCommitted(w.offset, func(err error) { p.release(w, err) })
	}
}

func (p *partition[M]) release(w waiting, err error) {
	for _, r := range w.replies {
		if err != nil && r.Failed != nil {
			r.To.(deliver)(r.Failed)
		} else {
			r.To.(deliver)(r.Response)
		}
	}
	for _, e := range w.effects {
		if err == nil {
			p.act(e)
		}
	}
}

// writeAll appends what a step wrote, in order. The caller holds mu.
func (p *partition[M]) writeAll(writes []step.Write) []waiting {
	var all []waiting
	for _, w := range writes {
		last, err := p.append(&w)
		if err != nil {
			p.logger.Log(context.Background(), levelOf(err), "a coordinator's change could not be written", "err", err)
			all = append(all, waiting{offset: -1, replies: w.Done(clientError(err))})
			continue
		}
		p.appended = last
		all = append(all, waiting{offset: last, replies: w.Done(nil), effects: effects(w.Then)})
	}
	return all
}

// levelOf is how much it matters that an append failed: that a producer is not, or
// no longer, in a transaction is its own affair.
func levelOf(err error) slog.Level {
	if refusesProducer(err) {
		return slog.LevelDebug
	}
	return slog.LevelError
}

func effects(then step.Effect) []step.Effect {
	if then == nil {
		return nil
	}
	return []step.Effect{then}
}

func (p *partition[M]) append(w *step.Write) (int64, error) {
	batch, err := buildBatch(w, time.Now().UnixMilli())
	if err != nil {
		return -1, fmt.Errorf("build a batch of %d records: %w", len(w.Records), err)
	}
	var o AppendOptions
	if w.Producer != nil {
		o.Verification = w.Producer.Verification
	}
	if w.Marker != nil {
		o.MarkerEpochEach = w.Marker.Version >= 2
	}
	return p.log.Append(batch, o)
}

// buildBatch makes the batch that w stands for.
func buildBatch(w *step.Write, now int64) (record.Batch, error) {
	if m := w.Marker; m != nil {
		return record.BuildMarker(m.ProducerID, m.ProducerEpoch, m.CoordinatorEpoch, m.Commit, now)
	}
	b := record.NewBuilder()
	if w.Producer != nil {
		b.Transactional, b.ProducerID, b.ProducerEpoch = true, w.Producer.ID, w.Producer.Epoch
	}
	for _, r := range w.Records {
		b.Append(now, r.Key, r.Value)
	}
	return b.Build(nil)
}

// clientError is what a client is told of a failed append, as Kafka translates
// it. What a producer's transaction is refused for, it is told as it is.
func clientError(err error) error {
	switch {
	case refusesProducer(err):
		return err
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge), errors.Is(err, kerr.InvalidFetchSize):
		return kerr.UnknownServerError
	case errors.Is(err, kerr.NotLeaderForPartition), errors.Is(err, kerr.KafkaStorageError):
		return kerr.NotCoordinator
	}
	return kerr.CoordinatorNotAvailable
}

// refusesProducer reports whether err says that a transaction does not allow it.
func refusesProducer(err error) bool {
	return errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.InvalidTxnState) || errors.Is(err, kerr.TransactionCoordinatorFenced)
}

// look lets fn see the machine. It must not keep what it sees.
func (p *partition[M]) look(fn func(M)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == nil {
		fn(p.machine)
	}
}

// whenDurable calls done once everything that was appended so far is committed:
// what was read before is then true after a crash too.
func (p *partition[M]) whenDurable(done func()) {
	p.mu.Lock()
	last := p.appended
	p.mu.Unlock()
	p.whenCommitted(last, func(error) { done() })
}

// whenCommitted calls done once the record at offset is committed or lost; at
// once for a negative offset.
func (p *partition[M]) whenCommitted(offset int64, done func(error)) {
	if offset < 0 {
		done(nil)
		return
	}
	p.log.WhenCommitted(offset, done)
}
