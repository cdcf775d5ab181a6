package shard

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/group"
	"github.com/klamm-io/klamm/protocol/record"
)

// replayLimit is what a compressed batch of the log may unfold to.
const replayLimit = 256 << 20

// partition is the coordinator of one partition of __consumer_offsets.
type partition struct {
	log    Log
	logger *slog.Logger

	mu sync.Mutex
	// Guarded by mu.
	groups   *group.Coordinator
	state    error // nil while it serves; else what clients are told
	appended int64 // offset of the last record that was appended, -1 for none
}

// deliver hands a response to the request that waits for it.
type deliver func(kmsg.Response)

func (p *partition) load() error {
	var scratch record.Scratch
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.appended = -1
	err := p.log.Replay(func(b record.Batch) error {
		if b.Attributes().Control() {
			return nil
		}
		return b.Each(&scratch, replayLimit, func(r *record.Record) error { return p.replay(b, r, now) })
	})
	if err != nil {
		p.state = kerr.CoordinatorNotAvailable
		return err
	}
	p.groups.Loaded(time.Now())
	p.state = nil
	return nil
}

// replay takes in one record. One that cannot be read is left out: the others
// are worth more than stopping.
func (p *partition) replay(b record.Batch, r *record.Record, now time.Time) error {
	if err := p.groups.Replay(r.Key, r.Value, now); err != nil {
		p.logger.Error("a record of a group cannot be read and is left out", "offset", b.BaseOffset()+int64(r.OffsetDelta), "err", err)
	}
	return nil
}

func (p *partition) resign() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = kerr.NotCoordinator
}

// serving reports what clients are told instead of an answer.
func (p *partition) serving() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// step takes one step: its records are appended under the lock, its replies sent
// after it. It returns why no step could be taken.
func (p *partition) step(take func(*group.Coordinator) group.Output) error {
	p.mu.Lock()
	if p.state != nil {
		defer p.mu.Unlock()
		return p.state
	}
	out := take(p.groups)
	held := p.writeAll(out.Writes)
	p.mu.Unlock()
	for _, r := range out.Replies {
		r.To.(deliver)(r.Response)
	}
	for _, h := range held {
		h.send(p.log)
	}
	return nil
}

// held are replies that wait until the record at offset is committed; at once
// for a negative offset.
type held struct {
	offset  int64
	replies []group.Reply
}

func (h held) send(log Log) {
	if h.offset < 0 || len(h.replies) == 0 {
		h.deliver(nil)
		return
	}
	log.WhenCommitted(h.offset, h.deliver)
}

func (h held) deliver(err error) {
	for _, r := range h.replies {
		if err != nil && r.Failed != nil {
			r.To.(deliver)(r.Failed)
		} else {
			r.To.(deliver)(r.Response)
		}
	}
}

// writeAll appends what a step wrote, in order. The caller holds mu.
func (p *partition) writeAll(writes []group.Write) []held {
	var all []held
	for _, w := range writes {
		last, err := p.append(w.Records)
		if err != nil {
			p.logger.Error("a change of a group could not be written", "err", err)
			all = append(all, held{offset: -1, replies: w.Done(clientError(err))})
			continue
		}
		p.appended = last
		all = append(all, held{offset: last, replies: w.Done(nil)})
	}
	return all
}

func (p *partition) append(records []group.Record) (int64, error) {
	b := record.NewBuilder()
	now := time.Now().UnixMilli()
	for _, r := range records {
		b.Append(now, r.Key, r.Value)
	}
	batch, err := b.Build(nil)
	if err != nil {
		return -1, fmt.Errorf("build a batch of %d records: %w", len(records), err)
	}
	return p.log.Append(batch)
}

// clientError is what a client is told of a failed append, as Kafka translates
// it.
func clientError(err error) error {
	switch {
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge), errors.Is(err, kerr.InvalidFetchSize):
		return kerr.UnknownServerError
	case errors.Is(err, kerr.NotLeaderForPartition), errors.Is(err, kerr.KafkaStorageError):
		return kerr.NotCoordinator
	}
	return kerr.CoordinatorNotAvailable
}

// look lets fn see the groups. It must not keep what it sees.
func (p *partition) look(fn func(*group.Coordinator)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == nil {
		fn(p.groups)
	}
}

// whenDurable calls done once everything that was appended so far is committed:
// what was read before is then true after a crash too.
func (p *partition) whenDurable(done func()) {
	p.mu.Lock()
	last := p.appended
	p.mu.Unlock()
	if last < 0 {
		done()
		return
	}
	p.log.WhenCommitted(last, func(error) { done() })
}
