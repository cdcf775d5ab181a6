package replica

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/log"
)

// FollowerFetch is what a follower asks its leader for.
type FollowerFetch struct {
	Replica          int32
	BrokerEpoch      int64 // of the follower's registration (KIP-903), -1: not said
	Offset           int64 // up to where it has flushed: it acknowledges what lies below
	LogStart         int64
	LeaderEpoch      int32 // that it follows
	LastFetchedEpoch int32 // of its last record, -1: it has none
	MaxBytes         int
	AtLeastOne       bool // one batch, however large
	// Memory is called for what the records are read to, where there are any; nil: it
	// is made.
	Memory func(bytes int) []byte
}

// FollowerAnswer is what the leader says to that.
type FollowerAnswer struct {
	HighWatermark int64
	LogStart      int64
	Diverging     *EpochEnd // not nil: the follower is to truncate its log and ask again
	Records       []byte    // whole batches, not flushed yet, maybe; nil for none
}

// EpochEnd is where a leader epoch ends.
type EpochEnd struct {
	Epoch  int32
	Offset int64
}

// FetchAsFollower answers a follower, and counts what it acknowledges. A follower
// whose log diverges acknowledges nothing.
func (p *Partition) FetchAsFollower(f FollowerFetch) (FollowerAnswer, error) {
	lead := p.leading.Load()
	if lead == nil {
		return FollowerAnswer{}, p.notLed()
	}
	if err := p.CheckEpoch(f.LeaderEpoch); err != nil {
		return FollowerAnswer{}, err
	}
	diverging, err := Diverges(p.log, f.Offset, f.LastFetchedEpoch)
	if err != nil || diverging != nil {
		return FollowerAnswer{HighWatermark: p.HighWatermark(), LogStart: p.log.Start(), Diverging: diverging}, err
	}
	records, err := p.readFor(f)
	if err != nil {
		return FollowerAnswer{}, fmt.Errorf("for the follower on broker %d: %w", f.Replica, err)
	}
	if err := lead.fetchedBy(f); err != nil {
		return FollowerAnswer{}, err
	}
	return FollowerAnswer{HighWatermark: p.HighWatermark(), LogStart: p.log.Start(), Records: records}, nil
}

// readFor reads what a follower asks for into memory. A region of the file would
// not do: what lies above the high watermark may be truncated and written anew
// before it is sent. What was read before [leadership.fetchedBy] finds that the
// term lasts is what this leader has. What was committed some time ago is verified: a
// follower that is offered damage would ask for it again and again.
func (p *Partition) readFor(f FollowerFetch) ([]byte, error) {
	slice, err := p.log.Read(f.Offset, f.MaxBytes, p.log.End(), f.AtLeastOne)
	if err != nil || slice.Len == 0 {
		return nil, err
	}
	defer slice.Close()
	memory := f.Memory
	if memory == nil {
		memory = func(bytes int) []byte { return make([]byte, bytes) }
	}
	records := memory(slice.Len)
	n, err := slice.File.ReadAt(records, slice.Off)
	switch {
	case n < slice.Len && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("read %d bytes of %s, got %d: %w: %w", slice.Len, p, n, err, kerr.KafkaStorageError)
	case n == slice.Len && f.Offset >= p.HighWatermark():
		return records, nil // it was just written; and the follower verifies it
	}
	if err := verifyAll(records[:n], slice.Len); err != nil {
		p.log.Examine(slice)
		return nil, fmt.Errorf("read %s from offset %d: %w: %w", p, f.Offset, err, kerr.CorruptMessage)
	}
	return records, nil
}

// verifyAll verifies batches, which should be so many bytes.
func verifyAll(records []byte, size int) error {
	if len(records) < size {
		return fmt.Errorf("%d bytes are missing", size-len(records))
	}
	for len(records) > 0 {
		batch, rest, err := record.Next(records)
		if err == nil {
			err = batch.Verify()
		}
		if err != nil {
			return err
		}
		records = rest
	}
	return nil
}

// Diverges compares the last epoch that a reader has, which has read up to offset,
// with a log's. It returns where the log differs, nil where it does not.
func Diverges(l *log.Log, offset int64, lastFetchedEpoch int32) (*EpochEnd, error) {
	if lastFetchedEpoch < 0 {
		return nil, nil
	}
	epoch, end := l.EndOffsetForEpoch(lastFetchedEpoch)
	switch {
	case epoch < 0 || end < 0:
		return nil, fmt.Errorf("the reader's last epoch %d is not known here: %w", lastFetchedEpoch, kerr.OffsetOutOfRange)
	case epoch >= lastFetchedEpoch && end >= offset:
		return nil, nil
	}
	return &EpochEnd{Epoch: epoch, Offset: end}, nil
}

// fetchedBy counts what a follower acknowledges. In a term that has ended since it
// counts for nothing.
func (l *leadership) fetchedBy(f FollowerFetch) error {
	var err error
	counted := false
	l.step(func(s *isr) effects {
		var e effects
		counted = true
		e, err = s.fetchedBy(followerFetch{replica: f.Replica, brokerEpoch: f.BrokerEpoch, offset: f.Offset, logStart: f.LogStart}, l.partition.ends(), time.Now())
		return e
	})
	if !counted {
		return l.partition.notLed()
	}
	return err
}
