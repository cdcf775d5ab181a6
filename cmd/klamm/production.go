package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/internal/quantity"
)

// flushTimeout is how long records that were read already may take to arrive
// when the user ends the work early.
const flushTimeout = 10 * time.Second

// production sends the records of a source to a topic. One goroutine reads and
// sends, the client calls back on others, and one shows progress.
type production struct {
	env     *environment
	client  *kgo.Client
	topic   string
	input   string // its name, for messages
	records source
	headers []kgo.RecordHeader
	options *produceOptions

	sent    atomic.Int64 // records that the cluster has acknowledged
	bytes   atomic.Int64 // of their keys, values and headers
	stopped atomic.Bool  // a record failed: more would be lost behind it

	once    sync.Once // guards refused
	refused error     // the first record that failed
}

// run returns when all that was read has been acknowledged or refused.
func (p *production) run(ctx context.Context) error {
	started := time.Now()
	if p.options.format == "lines" && isTerminal(p.env.in) && p.input == "standard input" {
		p.env.note("Each line is a record; Ctrl-D ends.")
	}
	hide := p.showProgress(started)
	// What was read is sent even when ctx ends.
	sending, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	stop := p.giveUpWhenStuck(giveUp)
	err := p.sendAll(ctx, sending)
	if ctx.Err() == nil { // also where a line was wrong: those before it count
		err = errors.Join(err, p.client.Flush(ctx))
	}
	if errors.Is(err, context.Canceled) {
		p.flushRest()
	}
	stop()
	giveUp()
	hide()
	fmt.Fprintln(p.env.out, p.summary(time.Since(started)))
	p.once.Do(func() {}) // no callback writes refused from here on
	return errors.Join(p.refused, err)
}

// sendAll reads and sends to the end of the input, or until ctx ends. A read of
// a terminal cannot be broken off: its goroutine ends with the process.
func (p *production) sendAll(ctx, sending context.Context) error {
	done := make(chan error, 1)
	go func() { done <- p.send(ctx, sending) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send hands records to the client, which gives them up when sending ends.
func (p *production) send(ctx, sending context.Context) error {
	for !p.stopped.Load() && ctx.Err() == nil {
		record, err := p.records.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.input, err)
		}
		p.complete(record)
		p.client.Produce(sending, record, p.acknowledged)
	}
	return ctx.Err()
}

// complete adds what is the same for every record.
func (p *production) complete(r *kgo.Record) {
	r.Topic, r.Headers = p.topic, p.headers
	if p.options.partition >= 0 {
		r.Partition = p.options.partition
	}
	if p.options.keySet {
		r.Key = []byte(p.options.key)
	}
	if p.options.emptyAsNull && len(r.Value) == 0 {
		r.Value = nil
	}
}

// acknowledged counts a record that arrived, or keeps why it did not.
func (p *production) acknowledged(r *kgo.Record, err error) {
	if err != nil {
		p.stopped.Store(true)
		p.once.Do(func() { p.refused = p.refusal(r, err) })
		return
	}
	size := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value)
	}
	p.sent.Add(1)
	p.bytes.Add(int64(size))
}

func (p *production) refusal(r *kgo.Record, err error) error {
	if errors.Is(err, context.Canceled) { // by giveUpWhenStuck
		return fmt.Errorf("produce to %s-%d: no broker took a record within %s", r.Topic, r.Partition, deliveryTimeout)
	}
	return fmt.Errorf("produce to %s-%d: %s (record of %s bytes)", r.Topic, r.Partition, reason(err, ""), quantity.Digits(int64(len(r.Key)+len(r.Value))))
}

// flushRest lets arrive what is on its way after the user ended the work.
func (p *production) flushRest() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := p.client.Flush(ctx); err != nil {
		p.env.note("klamm: %s did not arrive within %s",
			quantity.Counted(p.client.BufferedProduceRecords(), "record", "records"), flushTimeout)
	}
}

// summary says what arrived, and how fast.
func (p *production) summary(took time.Duration) string {
	seconds := max(took.Seconds(), 1e-3)
	sent, bytes := p.sent.Load(), float64(p.bytes.Load())
	return fmt.Sprintf("produced %s (%s) to %s in %.1f s: %s records/s, %s/s",
		quantity.Counted(sent, "record", "records"), quantity.Bytes(bytes), p.topic, seconds,
		quantity.Digits(int64(float64(sent)/seconds)), quantity.Bytes(bytes/seconds))
}

// showProgress rewrites one line on a terminal several times a second, or
// writes one a second elsewhere where it was asked for. The returned function
// ends that and clears the line.
func (p *production) showProgress(started time.Time) (hide func()) {
	terminal := isTerminal(p.env.errOut)
	if !terminal && !p.options.progress {
		return func() {}
	}
	every, format, wipe := time.Second, "%s\n", ""
	if terminal {
		every, format, wipe = 200*time.Millisecond, "\r%s\x1b[K", "\r\x1b[K"
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(p.env.errOut, format, p.summary(time.Since(started)))
			case <-stop:
				return
			}
		}
	}()
	return func() { close(stop); <-stopped; fmt.Fprint(p.env.errOut, wipe) }
}
