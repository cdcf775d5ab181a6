package load

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/test/wire"
)

// Result is what a run achieved.
type Result struct {
	Requests  int64 // that were answered
	Bytes     int64 // of batches
	Elapsed   time.Duration
	Latencies []time.Duration // ascending
}

// Percentile returns the latency that the given part of the requests did not
// exceed; p is between 0 and 1.
func (r Result) Percentile(p float64) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	return r.Latencies[min(len(r.Latencies)-1, int(p*float64(len(r.Latencies))))]
}

// Producing is a load of produce requests, all the same.
type Producing struct {
	Topic       string
	Partitions  int32 // connections take them in turn
	Batch       record.Batch
	Connections int
	InFlight    int // requests of a connection that wait for their answers
	For         time.Duration
	Rate        int   // requests a second of all connections, 0 for as many as go
	Acks        int16 // 0 is all, as -1 is
	InTurn      bool  // each connection sends to all its partitions in turn, not to one
}

// Run sends until the time is up and waits for the last answers. The leaders are the
// addresses of those of the partitions, in order; one alone leads all. With a rate a
// latency counts from when the request was due, so that a broker that is slow cannot
// hide it by being asked less.
func (p Producing) Run(leaders ...string) (Result, error) {
	return together(p.Connections, func(ctx context.Context, n int) (Result, error) {
		partition := int32(n) % p.Partitions
		return p.connection(ctx, leaders[int(partition)%len(leaders)], p.frames(partition), n)
	})
}

// frames are the requests of the connection that begins with a partition, which it
// sends in turn.
func (p Producing) frames(first int32) (all [][]byte) {
	for partition := first; partition < p.Partitions; partition += int32(p.Connections) {
		req := Produce(p.Topic, []int32{partition}, p.Batch)
		if p.Acks != 0 {
			req.Acks = p.Acks
		}
		all = append(all, wire.Frame(req, 1))
		if !p.InTurn {
			break
		}
	}
	return all
}

// together runs the connections and adds up what they achieved.
func together(connections int, run func(ctx context.Context, n int) (Result, error)) (Result, error) {
	g, ctx := errgroup.WithContext(context.Background())
	results := make([]Result, connections)
	began := time.Now()
	for n := range connections {
		g.Go(func() (err error) {
			results[n], err = run(ctx, n)
			return err
		})
	}
	err := g.Wait()
	total := Result{Elapsed: time.Since(began)}
	for _, r := range results {
		total.Requests += r.Requests
		total.Bytes += r.Bytes
		total.Latencies = append(total.Latencies, r.Latencies...)
	}
	slices.Sort(total.Latencies)
	return total, err
}

func (p Producing) connection(ctx context.Context, addr string, requests [][]byte, n int) (r Result, err error) {
	c, err := wire.Dial(addr)
	if err != nil {
		return r, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	sent := make(chan time.Time, p.InFlight)
	var answering sync.WaitGroup
	var failed error
	answering.Go(func() {
		if r, failed = p.answers(c, sent); failed != nil {
			c.Close()
			for range sent { // lets the sender go
			}
		}
	})
	err = p.send(c, requests, n, sent)
	close(sent)
	answering.Wait()
	return r, errors.Join(failed, err)
}

// send sends until the time is up.
func (p Producing) send(c io.Writer, requests [][]byte, n int, sent chan<- time.Time) error {
	began := time.Now()
	var interval time.Duration
	if p.Rate > 0 {
		interval = time.Duration(float64(time.Second) * float64(p.Connections) / float64(p.Rate))
	}
	next := 0
	for due := began.Add(interval * time.Duration(n) / time.Duration(p.Connections)); time.Since(began) < p.For; due = due.Add(interval) {
		if interval == 0 {
			due = time.Now()
		} else {
			time.Sleep(time.Until(due))
		}
		sent <- due
		if _, err := c.Write(requests[next]); err != nil {
			return fmt.Errorf("send a produce: %w", err)
		}
		next = (next + 1) % len(requests)
	}
	return nil
}

// answers reads an answer for each request that was sent.
func (p Producing) answers(c io.Reader, sent <-chan time.Time) (r Result, err error) {
	reader := frames{r: bufio.NewReaderSize(c, 64<<10)}
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = Produce("", nil, nil).Version
	for due := range sent {
		frame, err := reader.next()
		if err != nil {
			return r, fmt.Errorf("receive the answer to a produce: %w", err)
		}
		r.Latencies = append(r.Latencies, time.Since(due))
		if err := resp.ReadFrom(frame[5:]); err != nil { // correlation id, no tagged fields
			return r, err
		}
		if err := Produced(resp); err != nil {
			return r, err
		}
		r.Requests++
		r.Bytes += int64(len(p.Batch))
	}
	return r, nil
}

// frames reads frames into one buffer.
type frames struct {
	r   io.Reader
	buf []byte
}

// next returns the next frame without its length, valid until the next call.
func (f *frames) next() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(f.r, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if n < 5 || n > 1<<30 {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	if cap(f.buf) < n {
		f.buf = make([]byte, n)
	}
	f.buf = f.buf[:n]
	_, err := io.ReadFull(f.r, f.buf)
	return f.buf, err
}

// Fetching is a load of fetches that read partitions from their start to their
// end, again and again.
type Fetching struct {
	Topic       string
	Partitions  int32 // connections take them in turn
	MaxBytes    int32 // of an answer
	Connections int
	For         time.Duration
}

// Run fetches until the time is up.
func (f Fetching) Run(addr string) (Result, error) {
	return together(f.Connections, func(ctx context.Context, n int) (r Result, err error) {
		c, err := wire.Dial(addr)
		if err != nil {
			return r, err
		}
		defer c.Close()
		defer context.AfterFunc(ctx, func() { c.Close() })()
		return f.read(c, int32(n)%f.Partitions)
	})
}

func (f Fetching) read(c io.ReadWriter, partition int32) (r Result, err error) {
	reader := frames{r: bufio.NewReaderSize(c, 256<<10)}
	resp := kmsg.NewPtrFetchResponse()
	for began, offset := time.Now(), int64(0); time.Since(began) < f.For; {
		req := Fetch(f.Topic, partition, offset, f.MaxBytes)
		asked := time.Now()
		if _, err := c.Write(wire.Frame(req, 1)); err != nil {
			return r, fmt.Errorf("send a fetch: %w", err)
		}
		frame, err := reader.next()
		if err != nil {
			return r, fmt.Errorf("receive the answer to a fetch: %w", err)
		}
		r.Latencies = append(r.Latencies, time.Since(asked))
		resp.Version = req.Version
		if err := resp.ReadFrom(frame[4:]); err != nil {
			return r, err
		}
		p := &resp.Topics[0].Partitions[0]
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			return r, fmt.Errorf("fetch %s-%d at offset %d: %w", f.Topic, partition, offset, err)
		}
		r.Requests++
		r.Bytes += int64(len(p.RecordBatches))
		if offset = after(p.RecordBatches); offset >= p.HighWatermark {
			offset = 0
		}
	}
	return r, nil
}

// after returns the offset after the last whole batch, 0 where there is none.
func after(batches []byte) (offset int64) {
	for {
		batch, rest, err := record.Next(batches)
		if err != nil {
			return offset
		}
		offset, batches = batch.NextOffset(), rest
	}
}
