package log

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/compress"
	"github.com/klamm-io/klamm/protocol/record"
)

// What a compressed batch may unfold to. Beyond the common limit, batches are
// unfolded one at a time in the whole process, in the same memory, so that many
// large ones cannot add up.
const (
	unfoldedCommon = 8 << 20
	unfoldedMost   = 256 << 20
)

var (
	unfoldLarge    sync.Mutex
	largeScratches = sync.Pool{New: func() any { return record.NewScratch(unfoldedMost + 1<<20) }}
)

// unfolding is memory to unfold a batch in, and how many bytes it may take there.
type unfolding struct {
	scratch *record.Scratch
	limit   int
}

// RecordError says what is wrong with one record of a batch (KIP-467).
type RecordError struct {
	Index   int32 // of the record in its batch
	Message string
}

// admission is one append on its way in: memory that is used again.
type admission struct {
	scratch record.Scratch
	batches []admitted
	bytes   []byte // what is to be written: the caller's bytes, or rewritten
	rewrite []byte
	errors  []RecordError
}

// admitted is a batch that passed.
type admitted struct {
	record.Batch
	maxTimestamp int64
}

var admissions = sync.Pool{New: func() any { return new(admission) }}

// retire gives the memory back for the next append, unless it is uncommonly much.
func (a *admission) retire() {
	clear(a.batches)
	a.batches, a.bytes, a.errors = a.batches[:0], nil, nil
	if cap(a.rewrite) > unfoldedCommon/4 {
		a.rewrite = nil
	}
	admissions.Put(a)
}

// admit checks every batch in records as Kafka's leader does, and gives it the
// timestamps and the codec that the configuration asks for. It may change
// records in place. It does not give offsets yet, and needs no lock.
func (a *admission) admit(tp protocol.TopicPartition, records []byte, c *Config, o *AppendOptions) error {
	a.bytes = records
	rewritten := false
	for rest := records; len(rest) > 0; {
		batch, after, err := record.Next(rest)
		if err != nil {
			return fmt.Errorf("%w: %w", err, kerr.CorruptMessage)
		}
		rest = after
		if err := a.admitHeader(tp, batch, c, o.Origin); err != nil {
			return err
		}
		admittedBatch, err := a.admitRecords(tp, batch, c, o)
		if err != nil {
			return err
		}
		rewritten = rewritten || &admittedBatch.Batch[0] != &batch[0]
		a.batches = append(a.batches, admittedBatch)
	}
	if len(a.batches) == 0 {
		return fmt.Errorf("append to %s: no batch: %w", tp, kerr.InvalidRecord)
	}
	if rewritten {
		a.gather()
	}
	if len(a.bytes) > c.SegmentBytes {
		return fmt.Errorf("append to %s: %d bytes, a segment holds %d: %w", tp, len(a.bytes), c.SegmentBytes, kerr.RecordListTooLarge)
	}
	return nil
}

// gather puts rewritten batches one after the other. A single one, which is all
// that a client may send, is where it is.
func (a *admission) gather() {
	if len(a.batches) == 1 {
		a.bytes = a.batches[0].Batch
		return
	}
	var all []byte
	for i := range a.batches {
		from := len(all)
		all = append(all, a.batches[i].Batch...)
		a.batches[i].Batch = all[from:len(all):len(all)]
	}
	// all moved while it grew, so each batch is cut from its last place.
	a.bytes = all
	for i, at := 0, 0; i < len(a.batches); i++ {
		size := len(a.batches[i].Batch)
		a.batches[i].Batch = all[at : at+size]
		at += size
	}
}

// admitHeader holds what can be told without looking at the records.
func (a *admission) admitHeader(tp protocol.TopicPartition, b record.Batch, c *Config, from Origin) error {
	refuse := func(code error, format string, args ...any) error {
		return fmt.Errorf("append to %s: %s: %w", tp, fmt.Sprintf(format, args...), code)
	}
	if b.BaseOffset() != 0 && from == FromClient {
		return refuse(kerr.InvalidRecord, "the batch's base offset should be 0, it is %d", b.BaseOffset())
	}
	if len(b) > c.MaxMessageBytes {
		return refuse(kerr.MessageTooLarge, "the batch has %d bytes, max.message.bytes is %d", len(b), c.MaxMessageBytes)
	}
	if err := b.Verify(); err != nil {
		return refuse(kerr.CorruptMessage, "%v", err)
	}
	switch count := int64(b.Count()); {
	case count <= 0:
		return refuse(kerr.InvalidRecord, "the batch counts %d records", count)
	case int64(b.LastOffsetDelta())+1 != count:
		return refuse(kerr.InvalidRecord, "the batch counts %d records, its offsets span %d", count, int64(b.LastOffsetDelta())+1)
	case b.Attributes().Codec() > compress.Zstd:
		return refuse(kerr.UnsupportedCompressionType, "compression type %d is not known", b.Attributes().Codec())
	}
	if from != FromClient {
		return nil
	}
	switch {
	case b.Attributes().Control():
		return refuse(kerr.InvalidRecord, "clients are not allowed to write control records")
	case b.ProducerID() >= 0 && b.BaseSequence() < 0:
		return refuse(kerr.InvalidRecord, "sequence number %d is invalid for a batch with producer id %d", b.BaseSequence(), b.ProducerID())
	case b.Attributes().LogAppendTime() && c.LogAppendTime:
		return a.refuseEach(b, kerr.InvalidTimestamp, "the producer must not set the timestamp type to LogAppendTime")
	}
	return nil
}

// refuseEach refuses a batch for a fault that each of its records has.
func (a *admission) refuseEach(b record.Batch, code error, why string) error {
	for i := range min(b.Count(), maxRecordErrors) {
		a.errors = append(a.errors, RecordError{Index: i, Message: why})
	}
	return fmt.Errorf("%s: %w", why, code)
}

// maxRecordErrors bounds an answer: a producer needs the first few to know.
const maxRecordErrors = 1000

// admitRecords looks at every record, and brings the batch into the codec and
// to the timestamps that the log keeps.
func (a *admission) admitRecords(tp protocol.TopicPartition, b record.Batch, c *Config, o *AppendOptions) (admitted, error) {
	if b.Attributes().Control() {
		return admitted{Batch: b, maxTimestamp: b.MaxTimestamp()}, nil
	}
	got, err := a.admitUnfolded(tp, b, c, o, unfolding{&a.scratch, unfoldedCommon})
	if !errors.Is(err, compress.ErrTooLarge) {
		return got, err
	}
	unfoldLarge.Lock()
	defer unfoldLarge.Unlock()
	scratch := largeScratches.Get().(*record.Scratch)
	defer largeScratches.Put(scratch)
	return a.admitUnfolded(tp, b, c, o, unfolding{scratch, unfoldedMost})
}

func (a *admission) admitUnfolded(tp protocol.TopicPartition, b record.Batch, c *Config, o *AppendOptions, u unfolding) (admitted, error) {
	summary, err := summarize(b, u)
	if err != nil {
		return admitted{}, fmt.Errorf("append to %s: %w", tp, err)
	}
	if err := a.admitKeysAndTimes(tp, b, summary, u, c, o); err != nil {
		return admitted{}, err
	}
	if c.Compression != ProducerCompression && c.Compression != b.Attributes().Codec() && o.Origin == FromClient {
		b, err = b.Recompress(u.scratch, a.rewrite[:0], c.Compression, c.CompressionLevel, u.limit)
		if err != nil {
			return admitted{}, fmt.Errorf("append to %s: recompress as %s: %w", tp, c.Compression, err)
		}
		a.rewrite = b
		if len(b) > c.MaxMessageBytes {
			return admitted{}, fmt.Errorf("append to %s: recompressed as %s the batch has %d bytes, max.message.bytes is %d: %w",
				tp, c.Compression, len(b), c.MaxMessageBytes, kerr.MessageTooLarge)
		}
	}
	if c.LogAppendTime {
		b.SetLogAppendTime(o.Now.UnixMilli())
		return admitted{Batch: b, maxTimestamp: b.MaxTimestamp()}, nil
	}
	if summary.MaxTimestamp != b.MaxTimestamp() || b.Attributes().LogAppendTime() {
		b.SetCreateTime(summary.MaxTimestamp)
	}
	return admitted{Batch: b, maxTimestamp: summary.MaxTimestamp}, nil
}

// summarize walks the records.
func summarize(b record.Batch, u unfolding) (record.Summary, error) {
	s, err := b.Check(u.scratch, u.limit)
	switch {
	case errors.Is(err, compress.ErrTooLarge):
		return s, fmt.Errorf("%w: the batch unfolds to more than %d bytes: %w", err, u.limit, kerr.MessageTooLarge)
	case errors.Is(err, record.ErrInvalidRecord):
		return s, fmt.Errorf("%w: %w", err, kerr.InvalidRecord)
	case err != nil:
		// The checksum holds, so sending it again would not help: this code says so to producers.
		return s, fmt.Errorf("%w: %w", err, kerr.UnknownServerError)
	}
	return s, nil
}

// admitKeysAndTimes refuses records without a key in a compacted topic, and
// timestamps too far from now. The summary tells whether there is any.
func (a *admission) admitKeysAndTimes(tp protocol.TopicPartition, b record.Batch, s record.Summary, u unfolding, c *Config, o *AppendOptions) error {
	if o.Origin != FromClient {
		return nil
	}
	bounds := timeBounds{check: !c.LogAppendTime, now: o.Now, before: c.TimestampBeforeMaxMs, after: c.TimestampAfterMaxMs}
	needKeys := c.Compact && s.FirstWithoutKey >= 0
	if !needKeys && bounds.hold(s.MinTimestamp) && bounds.hold(s.MaxTimestamp) {
		return nil
	}
	code, index := error(kerr.InvalidRecord), int32(0)
	err := b.Each(u.scratch, u.limit, func(r *record.Record) error {
		timestamp := b.BaseTimestamp() + r.TimestampDelta
		switch {
		case len(a.errors) >= maxRecordErrors:
		case needKeys && r.Key == nil:
			a.errors = append(a.errors, RecordError{index, fmt.Sprintf("Compacted topic cannot accept message without key in topic partition %s.", tp)})
		case !bounds.hold(timestamp):
			code = kerr.InvalidTimestamp
			a.errors = append(a.errors, RecordError{index, bounds.explain(timestamp)})
		}
		index++
		return nil
	})
	if err != nil || len(a.errors) == 0 {
		return err
	}
	return fmt.Errorf("one or more records have been rejected due to %d record errors in total, the first: %s: %w", len(a.errors), a.errors[0].Message, code)
}

// timeBounds is how far a record's timestamp may be from the broker's clock.
type timeBounds struct {
	check         bool
	now           time.Time
	before, after int64 // milliseconds
}

func (t timeBounds) hold(timestamp int64) bool {
	if !t.check || timestamp < 0 {
		return true
	}
	ahead := timestamp - t.now.UnixMilli()
	return -ahead <= t.before && ahead <= t.after
}

func (t timeBounds) explain(timestamp int64) string {
	oldest := int64(math.MinInt64)
	if t.before < t.now.UnixMilli() {
		oldest = t.now.UnixMilli() - t.before
	}
	return fmt.Sprintf("Timestamp %d of message is out of range. The timestamp should be within [%d, %d]", timestamp, oldest, t.now.UnixMilli()+t.after)
}
