package main

import (
	"time"

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
)

var workloads = []workload{
	producing("produce, 600 × 100 B a batch, 4 connections", "large", 600, 100, 4, 0, throughput, cpuOfByte),
	producing("produce, 10 × 1 KB a batch, 8 connections", "medium", 10, 1000, 8, 0, throughput, cpuOfByte),
	producing("produce, 1 × 100 B a batch, 16 connections", "small", 1, 100, 16, 0, rate, cpuOfOne),
	fetching("fetch, 1 MB a request, 4 connections", "fetch-large", 600, 100, 256<<20, 1<<20, throughput, cpuOfByte),
	fetching("fetch, 4 KB a request, 4 connections", "fetch-small", 3, 1000, 4<<20, 4<<10, rate, cpuOfOne),
	producing("produce, 1,000 requests/s of 10 KB, open loop", "steady", 10, 1000, 8, 1000, median, slowest, cpuOfOne),
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
