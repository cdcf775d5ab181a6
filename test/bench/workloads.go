package main

import (
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/klamm-io/klamm/protocol/compress"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/test/load"
)

// workload is one load and what is told of it.
type workload struct {
	name       string
	topic      string
	partitions int32
	records    int   // of a batch
	size       int   // bytes of a record
	onFloor    bool  // the floor takes it too
	fill       int64 // bytes that each partition gets beforehand
	run        func(length time.Duration, leaders ...string) (load.Result, error)
	columns    []figure
}

func (w workload) batch() record.Batch { return load.Batch(w.records, w.size) }

// row returns the load's row, without samples.
func (w workload) row() row {
	r := row{name: w.name}
	for _, kind := range w.columns {
		r.columns = append(r.columns, column{kind.unit, kind.better, newSamples()})
	}
	return r
}

// note adds what a round achieved to the load's row.
func (w workload) note(r row, round, kind int, o outcome) {
	for c, figure := range w.columns {
		r.columns[c].samples.add(round, kind, figure.of(o))
	}
}

// figure is a number that is told of an outcome.
type figure struct {
	unit   string
	better direction
	of     func(outcome) float64
}

var (
	throughput = figure{"MB/s", higher, func(o outcome) float64 { return float64(o.Bytes) / 1e6 / o.Elapsed.Seconds() }}
	rate       = figure{"requests/s", higher, func(o outcome) float64 { return float64(o.Requests) / o.Elapsed.Seconds() }}
	cpuOfByte  = figure{"CPU s/GB", lower, func(o outcome) float64 { return o.cpu.Seconds() / (float64(o.Bytes) / 1e9) }}
	cpuOfOne   = figure{"CPU µs/request", lower, func(o outcome) float64 { return o.cpu.Seconds() * 1e6 / float64(o.Requests) }}
	median     = figure{"ms p50", lower, func(o outcome) float64 { return o.Percentile(0.50).Seconds() * 1e3 }}
	slowest    = figure{"ms p99", lower, func(o outcome) float64 { return o.Percentile(0.99).Seconds() * 1e3 }}
	worst      = figure{"ms p99.9", lower, func(o outcome) float64 { return o.Percentile(0.999).Seconds() * 1e3 }}
)

var workloads = []workload{
	andFloor(producing("produce, 600 × 100 B a batch, 4 connections", "large", 600, 100, 4, 0, throughput, cpuOfByte)),
	producing("produce, 10 × 1 KB a batch, 8 connections", "medium", 10, 1000, 8, 0, throughput, cpuOfByte),
	producing("produce, 1 × 100 B a batch, 16 connections", "small", 1, 100, 16, 0, rate, cpuOfOne),
	andFloor(fetching("fetch, 1 MB a request, 4 connections", "fetch-large", 600, 100, 256<<20, 1<<20, throughput, cpuOfByte)),
	fetching("fetch, 4 KB a request, 4 connections", "fetch-small", 3, 1000, 4<<20, 4<<10, rate, cpuOfOne),
	producing("produce, 1,000 requests/s of 10 KB, open loop", "steady", 10, 1000, 8, 1000, median, slowest, worst, cpuOfOne),
}

// wider are loads that the README does not tell; -only chooses among them.
var wider = []workload{
	producingTo(1, "wider: produce to 1 partition", "one", 600, 100, 4, 0, throughput, cpuOfByte),
	producingTo(100, "wider: produce to 100 partitions", "hundred", 600, 100, 100, 0, throughput, cpuOfByte),
	roundRobin(2000, "wider: produce to 2,000 partitions in turn", "thousands"),
	encoded(compress.LZ4, producing("wider: produce with lz4", "lz4", 600, 100, 4, 0, throughput, cpuOfByte)),
	encoded(compress.Zstd, producing("wider: produce with zstd", "zstd", 600, 100, 4, 0, throughput, cpuOfByte)),
	acknowledged(1, producing("wider: produce with acks=1", "acks-1", 600, 100, 4, 0, throughput, cpuOfByte)),
	crowded(1000, fetching("wider: 1,000 consumers of one topic", "consumers", 600, 100, 64<<20, 1<<20, throughput, cpuOfByte)),
	draining("wider: a backlog is read while it grows", "backlog"),
}

// andFloor says that the floor takes a load too.
func andFloor(w workload) workload {
	w.onFloor = true
	return w
}

// produces makes w a load that p is.
func (w workload) produces(p load.Producing) workload {
	w.run = func(length time.Duration, leaders ...string) (load.Result, error) {
		p.For = length
		return p.Run(leaders...)
	}
	return w
}

// plain is the load of w by four connections, to be changed.
func (w workload) plain() load.Producing {
	return load.Producing{Topic: w.topic, Partitions: w.partitions, Batch: w.batch(), Connections: 4, InFlight: 5}
}

// encoded has w's batches in a codec. Their bytes count as they are sent.
func encoded(codec compress.Codec, w workload) workload {
	p := w.plain()
	p.Batch = load.Encoded(w.records, w.size, codec)
	return w.produces(p)
}

func acknowledged(acks int16, w workload) workload {
	p := w.plain()
	p.Acks = acks
	return w.produces(p)
}

// roundRobin sends to each of many partitions in turn, by few connections.
func roundRobin(partitions int32, name, topic string) workload {
	w := producingTo(partitions, name, topic, 600, 100, 4, 0, throughput, cpuOfByte)
	p := w.plain()
	p.InTurn = true
	return w.produces(p)
}

// crowded has w's partitions read by so many connections.
func crowded(connections int, w workload) workload {
	w.run = func(length time.Duration, leaders ...string) (load.Result, error) {
		return load.Fetching{Topic: w.topic, Partitions: w.partitions, MaxBytes: 1 << 20, Connections: connections, For: length}.Run(leaders[0])
	}
	return w
}

// draining reads from the start of what is produced meanwhile. Both count.
func draining(name, topic string) workload {
	w := fetching(name, topic, 600, 100, 64<<20, 1<<20, throughput, cpuOfByte)
	produce := w.plain()
	w.run = func(length time.Duration, leaders ...string) (load.Result, error) {
		var produced, read load.Result
		var g errgroup.Group
		g.Go(func() (err error) {
			p := produce
			p.For = length
			produced, err = p.Run(leaders...)
			return err
		})
		g.Go(func() (err error) {
			read, err = load.Fetching{Topic: topic, Partitions: partitions, MaxBytes: 1 << 20, Connections: partitions, For: length}.Run(leaders[0])
			return err
		})
		err := g.Wait()
		produced.Requests += read.Requests
		produced.Bytes += read.Bytes
		return produced, err
	}
	return w
}

const partitions = 4

func producing(name, topic string, records, size, connections, perSecond int, columns ...figure) workload {
	return producingTo(partitions, name, topic, records, size, connections, perSecond, columns...)
}

func producingTo(partitions int32, name, topic string, records, size, connections, perSecond int, columns ...figure) workload {
	w := workload{name: name, topic: topic, partitions: partitions, records: records, size: size, columns: columns}
	batch, inFlight := w.batch(), 5
	if perSecond > 0 {
		inFlight = perSecond // an open loop does not wait for the broker
	}
	w.run = func(length time.Duration, leaders ...string) (load.Result, error) {
		return load.Producing{
			Topic: topic, Partitions: partitions, Batch: batch, Connections: connections, InFlight: inFlight, For: length, Rate: perSecond,
		}.Run(leaders...)
	}
	return w
}

func fetching(name, topic string, records, size int, fill int64, maxBytes int32, columns ...figure) workload {
	w := workload{name: name, topic: topic, partitions: partitions, records: records, size: size, fill: fill, columns: columns}
	w.run = func(length time.Duration, leaders ...string) (load.Result, error) {
		return load.Fetching{Topic: topic, Partitions: partitions, MaxBytes: maxBytes, Connections: partitions, For: length}.Run(leaders[0])
	}
	return w
}
