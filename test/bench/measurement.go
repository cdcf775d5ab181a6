package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"syscall"
	"time"

	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/load"
	"github.com/klamm-io/klamm/test/wire"
)

// measurement is all that is measured, load by load and broker by broker.
type measurement struct {
	rounds int
	length time.Duration
	only   *regexp.Regexp // of the loads' names; nil: all, and all else
	floor  *brokers.Broker
	rows   []row
}

// floorName is the last of the columns.
const floorName = "the floor"

// names are those of the columns.
func names() []string {
	var all []string
	for _, kind := range kinds {
		all = append(all, kind.name)
	}
	return append(all, floorName)
}

// kafkaJava are the options that Apache Kafka's own start script gives the JVM.
var kafkaJava = []string{
	"-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
	"-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true",
}

// kinds are the brokers in the order in which they take turns.
var kinds = []struct {
	name string
	make func(brokers.Options) (*brokers.Broker, error)
}{
	{"Klamm", brokers.Klamm},
	{"Apache Kafka 4.3.1", brokers.Apache},
}

// all measures everything. What it started has ended when it returns.
func (m *measurement) all(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "klamm-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	pair, err := newPair(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pair.kill()) }()
	if err := m.startFloor(dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.floor.Kill()) }()
	if err := m.starts(ctx, pair); err != nil {
		return err
	}
	for _, w := range m.chosen() {
		if err := m.workload(ctx, pair, w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	if m.only != nil {
		return nil
	}
	if err := m.memoryUnderLoad(pair); err != nil {
		return err
	}
	if err := pair.kill(); err != nil {
		return err
	}
	return m.restarts(ctx, dir)
}

// chosen are the loads to measure: those of the README, or those whose names match.
func (m *measurement) chosen() []workload {
	if m.only == nil {
		return workloads
	}
	return slices.DeleteFunc(slices.Concat(workloads, wider), func(w workload) bool { return !m.only.MatchString(w.name) })
}

// startFloor starts the floor.
func (m *measurement) startFloor(dir string) (err error) {
	if m.floor, err = brokers.Floor(brokers.Options{Dir: dir}); err != nil {
		return err
	}
	if err := m.floor.Launch(); err != nil {
		return err
	}
	return m.floor.AwaitListening(10 * time.Second)
}

// pair is one broker of each kind.
type pair []*brokers.Broker

func newPair(dir string) (pair, error) {
	var p pair
	for _, kind := range kinds {
		b, err := kind.make(brokers.Options{Dir: dir, Java: kafkaJava})
		if err != nil {
			return nil, err
		}
		p = append(p, b)
	}
	return p, nil
}

func (p pair) kill() error {
	var err error
	for _, b := range p {
		err = errors.Join(err, b.Kill())
	}
	return err
}

// starts measures how soon a broker without data answers, and its memory then.
// Both run when it returns.
func (m *measurement) starts(ctx context.Context, p pair) error {
	rounds := m.rounds
	if m.only != nil {
		rounds = 1 // they only have to run
	}
	took, memory := newSamples(), newSamples()
	for round := range rounds {
		for i, b := range p {
			if err := b.Stop(); err != nil {
				return err
			}
			began := time.Now()
			if err := b.Start(ctx); err != nil {
				return err
			}
			took.add(round, i, time.Since(began).Seconds())
			usage, err := b.Usage()
			if err != nil {
				return err
			}
			memory.add(round, i, float64(usage.Anonymous)/1e6)
		}
	}
	if m.only != nil {
		return nil
	}
	m.rows = append(m.rows,
		row{"start to the first answer", []column{{"s", lower, took}}},
		row{"memory at start", []column{{"MB", lower, memory}}})
	return nil
}

// workload lets the brokers take turns at one load.
func (m *measurement) workload(ctx context.Context, p pair, w workload) error {
	for _, b := range p {
		if err := prepare(b, w); err != nil {
			return err
		}
	}
	r := w.row()
	for round := range m.rounds {
		for i, b := range p {
			if err := ctx.Err(); err != nil {
				return err
			}
			o, err := m.turn(b, w)
			if err != nil {
				return fmt.Errorf("%s: %w", b.Name, err)
			}
			w.note(r, round, i, o)
		}
		if !w.onFloor {
			continue
		}
		o, err := m.turn(m.floor, w)
		if err != nil {
			return fmt.Errorf("the floor: %w", err)
		}
		w.note(r, round, len(kinds), o)
	}
	m.rows = append(m.rows, r)
	fmt.Println(r.markdown())
	return p.clear(w)
}

// clear deletes what a load left, so that a measurement fits on a disk.
func (p pair) clear(w workload) error {
	for _, b := range p {
		c, err := wire.Dial(b.Addr)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := load.DeleteTopic(c, w.topic); err != nil {
			return err
		}
	}
	return nil
}

// outcome is what one turn achieved and cost.
type outcome struct {
	load.Result
	cpu time.Duration
}

// turn puts one load on one broker.
func (m *measurement) turn(b *brokers.Broker, w workload) (o outcome, err error) {
	syscall.Sync() // what others left for the disk is not this broker's to wait for
	before, err := b.Usage()
	if err != nil {
		return o, err
	}
	if o.Result, err = w.run(m.length, b.Addr); err != nil {
		return o, err
	}
	after, err := b.Usage()
	o.cpu = after.CPU - before.CPU
	return o, err
}

// prepare makes the topic of a load and fills it where the load reads.
func prepare(b *brokers.Broker, w workload) error {
	c, err := wire.Dial(b.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := load.CreateTopic(c, w.topic, w.partitions, map[string]string{"file.delete.delay.ms": "1000"}); err != nil {
		return err
	}
	if w.fill == 0 {
		return nil
	}
	return load.Fill(b.Addr, w.topic, w.partitions, w.batch(), w.fill)
}

// memoryUnderLoad is what the brokers hold after all loads.
func (m *measurement) memoryUnderLoad(p pair) error {
	memory := newSamples()
	for i, b := range p {
		usage, err := b.Usage()
		if err != nil {
			return err
		}
		memory.only(i, float64(usage.Anonymous)/1e6)
	}
	m.rows = append(m.rows, row{"memory under load", []column{{"MB", lower, memory}}})
	return nil
}

// restarts measures how soon a broker with 2,000 partitions serves them after
// kill -9. Of two restarts the second counts.
func (m *measurement) restarts(ctx context.Context, dir string) error {
	took := newSamples()
	for i, kind := range kinds {
		fresh, err := os.MkdirTemp(dir, "crowd-")
		if err != nil {
			return err
		}
		b, err := kind.make(brokers.Options{Dir: fresh, Java: kafkaJava})
		if err != nil {
			return err
		}
		seconds, err := restart(ctx, b)
		if err := errors.Join(err, b.Kill()); err != nil {
			return fmt.Errorf("restart with many partitions: %w", err)
		}
		took.only(i, seconds)
	}
	m.rows = append(m.rows, row{"kill -9 with 2,000 partitions, to produces on all topics", []column{{"s", lower, took}}})
	return nil
}

// restartLimit bounds one restart; Kafka reads every log.
const restartLimit = 3 * time.Minute

func restart(ctx context.Context, b *brokers.Broker) (seconds float64, err error) {
	if err := b.Start(ctx); err != nil {
		return 0, err
	}
	if err := load.FillCrowd(b.Addr); err != nil {
		return 0, err
	}
	for range 2 {
		if err := b.Kill(); err != nil {
			return 0, err
		}
		began := time.Now()
		if err := b.Launch(); err != nil {
			return 0, err
		}
		limited, cancel := context.WithTimeout(ctx, restartLimit)
		r, err := load.AwaitCrowd(limited, b.Addr, began)
		cancel()
		if err != nil {
			return 0, err
		}
		seconds = r.Produced.Seconds()
	}
	return seconds, nil
}
