package main

import (
	"sync"

	"github.com/klamm-io/klamm/protocol"
)

type topicPartition = protocol.TopicPartition

// positions knows how far each partition was read, and so when all were read to
// the ends that they had at the start. The group's callbacks and the reading
// goroutine both use it.
type positions struct {
	mu       sync.Mutex               // guards the fields below
	assigned bool                     // once, maybe of no partitions
	at       map[topicPartition]int64 // next offset of each partition that is read here
	ends     map[topicPartition]int64 // where reading is done
}

func newPositions(held map[topicPartition]span) *positions {
	p := &positions{at: map[topicPartition]int64{}, ends: map[topicPartition]int64{}}
	for tp, span := range held {
		p.ends[tp] = span.end
	}
	return p
}

// assign begins partitions at their offsets.
func (p *positions) assign(offsets map[topicPartition]int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.assigned = true
	for tp, offset := range offsets {
		p.at[tp] = offset
	}
}

// revoke ends partitions: another member reads them from here on.
func (p *positions) revoke(topics map[string][]int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for topic, partitions := range topics {
		for _, partition := range partitions {
			delete(p.at, topicPartition{Topic: topic, Partition: partition})
		}
	}
}

// advance moves a partition to the offset after the one that was read.
func (p *positions) advance(tp topicPartition, next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, reading := p.at[tp]; reading {
		p.at[tp] = next
	}
}

// beyond says whether an offset came after the start of the program.
func (p *positions) beyond(tp topicPartition, offset int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return offset >= p.ends[tp]
}

// behind are the partitions that were not yet read to their ends.
func (p *positions) behind() map[topicPartition]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	behind := map[topicPartition]int64{}
	for tp, at := range p.at {
		if at < p.ends[tp] {
			behind[tp] = at
		}
	}
	return behind
}

// done says whether there are partitions to read, and all are read.
func (p *positions) done() bool {
	p.mu.Lock()
	assigned := p.assigned
	p.mu.Unlock()
	return assigned && len(p.behind()) == 0
}
