package api

import (
	"encoding/binary"
	"time"

	"github.com/klamm-io/klamm/broker/fetchsession"
	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

// fetchResponse is a Fetch response that is written by hand, because kmsg's
// holds the records in memory: here they stay regions of their segment's file,
// which the listener hands to the kernel. All else is byte for byte what kmsg
// writes, which a test holds.
type fetchResponse struct {
	version    int16
	throttle   time.Duration
	errorCode  int16
	sessionID  int32
	partitions []fetchedPartition // runs of one topic become one topic entry
	nodes      []fetchNode        // where leaders are that are told
}

// fetchNode is where a broker is reached.
type fetchNode struct {
	id   int32
	host string
	port int32
	rack *string
}

// addNode adds a broker once.
func (f *fetchResponse) addNode(id int32, host string, port int32, rack *string) {
	for _, n := range f.nodes {
		if n.id == id {
			return
		}
	}
	f.nodes = append(f.nodes, fetchNode{id, host, port, rack})
}

// fetchedPartition is the answer for one partition.
type fetchedPartition struct {
	key           fetchsession.Key
	topic         string // for metrics, which name topics; empty where it is not known
	errorCode     int16
	highWatermark int64
	lastStable    int64
	logStart      int64
	diverging     *replica.EpochEnd // the largest epoch before the reader's last, which is not in this log (KIP-595)
	leader        fetchLeader
	preferred     nearReplica
	aborted       []log.AbortedTxn // nil: null, for read_uncommitted
	records       log.Slice        // owned: the response's Release closes it
	copied        listener.Memory  // records that lie in memory, in place of the above; owned too
}

// fetchLeader is who leads a partition, for a reader that came to the wrong node.
type fetchLeader struct {
	told      bool
	id, epoch int32
}

// parts returns the response's body: bytes, and between them the regions that
// hold records.
func (f *fetchResponse) parts() []listener.Part {
	w := fetchWriter{flexible: f.version >= 12, parts: make([]listener.Part, 0, 2*len(f.partitions)+1)}
	w.buf = make([]byte, 0, 64+96*len(f.partitions))
	w.int32(int32(f.throttle.Milliseconds()))
	if f.version >= 7 {
		w.int16(f.errorCode)
		w.int32(f.sessionID)
	}
	topics := f.topicRuns()
	w.arrayLen(len(topics))
	for _, run := range topics {
		f.appendTopic(&w, run)
	}
	w.nodesTag(f)
	w.cut()
	return w.parts
}

// topicRuns splits the partitions where the topic changes.
func (f *fetchResponse) topicRuns() [][]fetchedPartition {
	var runs [][]fetchedPartition
	for from := 0; from < len(f.partitions); {
		to := from + 1
		for to < len(f.partitions) && sameTopic(f.partitions[from].key, f.partitions[to].key) {
			to++
		}
		runs = append(runs, f.partitions[from:to])
		from = to
	}
	return runs
}

func sameTopic(a, b fetchsession.Key) bool { return a.Topic == b.Topic && a.ID == b.ID }

func (f *fetchResponse) appendTopic(w *fetchWriter, run []fetchedPartition) {
	if f.version >= 13 {
		w.buf = append(w.buf, run[0].key.ID[:]...)
	} else {
		w.string(run[0].key.Topic)
	}
	w.arrayLen(len(run))
	for i := range run {
		f.appendPartition(w, &run[i])
	}
	w.noTags()
}

func (f *fetchResponse) appendPartition(w *fetchWriter, p *fetchedPartition) {
	w.int32(p.key.Partition)
	w.int16(p.errorCode)
	w.int64(p.highWatermark)
	w.int64(p.lastStable)
	if f.version >= 5 {
		w.int64(p.logStart)
	}
	w.aborted(p.aborted)
	if f.version >= 11 {
		w.preferred(p)
	}
	if len(p.copied.Bytes()) > 0 {
		w.memory(p.copied)
	} else {
		w.records(&p.records)
	}
	w.partitionTags(p)
}

// nearReplica is from where else a reader should read.
type nearReplica struct {
	told bool
	id   int32
}

// fetchWriter appends Kafka's primitive types to buf, and cuts it into parts
// where a region of a file comes in between.
type fetchWriter struct {
	flexible bool
	buf      []byte
	from     int // start in buf of what no part holds yet
	parts    []listener.Part
}

func (w *fetchWriter) int16(v int16)    { w.buf = binary.BigEndian.AppendUint16(w.buf, uint16(v)) }
func (w *fetchWriter) int32(v int32)    { w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(v)) }
func (w *fetchWriter) int64(v int64)    { w.buf = binary.BigEndian.AppendUint64(w.buf, uint64(v)) }
func (w *fetchWriter) uvarint(v uint64) { w.buf = binary.AppendUvarint(w.buf, v) }

func (w *fetchWriter) arrayLen(n int) {
	if w.flexible {
		w.uvarint(uint64(n) + 1)
	} else {
		w.int32(int32(n))
	}
}

func (w *fetchWriter) string(s string) {
	if w.flexible {
		w.uvarint(uint64(len(s)) + 1)
	} else {
		w.int16(int16(len(s)))
	}
	w.buf = append(w.buf, s...)
}

// noTags ends a structure that has no tagged fields.
func (w *fetchWriter) noTags() {
	if w.flexible {
		w.uvarint(0)
	}
}

func (w *fetchWriter) aborted(txns []log.AbortedTxn) {
	switch {
	case txns != nil:
		w.arrayLen(len(txns))
	case w.flexible:
		w.uvarint(0)
	default:
		w.int32(-1)
	}
	for _, t := range txns {
		w.int64(t.ProducerID)
		w.int64(t.FirstOffset)
		w.noTags()
	}
}

func (w *fetchWriter) records(s *log.Slice) {
	w.arrayLen(s.Len) // record bytes bear their length in the same two forms as arrays
	if s.Len == 0 {
		return
	}
	w.cut()
	w.parts = append(w.parts, listener.Part{
		Region:  disk.Region{File: s.File, Off: s.Off, Len: s.Len},
		Release: s.Close,
	})
}

func (w *fetchWriter) preferred(p *fetchedPartition) {
	if p.preferred.told {
		w.int32(p.preferred.id)
	} else {
		w.int32(-1)
	}
}

// memory appends records that lie in memory.
func (w *fetchWriter) memory(records listener.Memory) {
	w.arrayLen(len(records.Bytes()))
	w.cut()
	w.parts = append(w.parts, listener.Part{Bytes: records.Bytes(), Release: records.Release})
}

// Tags of a partition: 0 is where the reader's log diverges, 1 the leader.
func (w *fetchWriter) partitionTags(p *fetchedPartition) {
	if !w.flexible || p.diverging == nil && !p.leader.told {
		w.noTags()
		return
	}
	count := uint64(0)
	if p.diverging != nil {
		count++
	}
	if p.leader.told {
		count++
	}
	w.uvarint(count)
	if d := p.diverging; d != nil {
		w.buf = append(w.buf, 0, 13) // its number, and 13 bytes
		w.int32(d.Epoch)
		w.int64(d.Offset)
		w.noTags()
	}
	if p.leader.told {
		w.buf = append(w.buf, 1, 9)
		w.int32(p.leader.id)
		w.int32(p.leader.epoch)
		w.noTags()
	}
}

// nodesTag ends the response: tag 0 is where the leaders that were told are.
func (w *fetchWriter) nodesTag(f *fetchResponse) {
	if f.version < 16 || len(f.nodes) == 0 {
		w.noTags()
		return
	}
	nodes := fetchWriter{flexible: true}
	nodes.arrayLen(len(f.nodes))
	for _, n := range f.nodes {
		nodes.int32(n.id)
		nodes.string(n.host)
		nodes.int32(n.port)
		if n.rack == nil {
			nodes.uvarint(0)
		} else {
			nodes.string(*n.rack)
		}
		nodes.noTags()
	}
	w.uvarint(1)
	w.uvarint(0)
	w.uvarint(uint64(len(nodes.buf)))
	w.buf = append(w.buf, nodes.buf...)
}

// cut makes a part of what was appended since the last. buf may move when it
// grows later; the part keeps the bytes it was cut from, which nobody writes to
// any more.
func (w *fetchWriter) cut() {
	if w.from < len(w.buf) {
		w.parts = append(w.parts, listener.Part{Bytes: w.buf[w.from:len(w.buf):len(w.buf)]})
		w.from = len(w.buf)
	}
}
