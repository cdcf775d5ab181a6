package replica

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/log"
)

// check cuts the power everywhere, and holds what the logs have then against each
// other and against what is known. All that they held was committed.
func (w *simWorld) check() {
	ends := map[int32][]int64{}
	for id := int32(1); id <= simNodes; id++ {
		n := w.node(id)
		for i := range simSlots {
			end := int64(-1)
			if r := n.replica(i); r != nil {
				end = r.Log().End()
			}
			ends[id] = append(ends[id], end)
		}
		n.dead.Store(true)
		w.endNode(n, w.chance.pick("fate", 3))
	}
	w.tasks.Wait()
	dirs := map[int32]*log.Dir{}
	for id := range ends {
		dirs[id] = openSimDir(w.t, id, w.disks[id], slog.New(slog.DiscardHandler))
	}
	for i := range simSlots {
		p := w.controller.partition(i)
		var logs []simLogOf
		for _, id := range nodesOf(p) {
			l, err := dirs[id].Open(p.tp, p.id, simSlots[i].logConfig())
			if err != nil {
				w.t.Error(err)
				return
			}
			if l.End() != ends[id][i] {
				w.t.Errorf("%s ends at %d at node %d, after it was stopped with all flushed up to %d", l, l.End(), id, ends[id][i])
			}
			logs = append(logs, simLogOf{node: id, Log: l})
		}
		w.checkSlot(i, p, logs)
	}
	for _, d := range dirs {
		_ = d.Close()
	}
}

// simLogOf is a log of a node.
type simLogOf struct {
	*log.Log
	node int32
	raw  []byte // all that it holds from where all of its kind have begun
}

func (w *simWorld) checkSlot(slot int, p modelPartition, logs []simLogOf) {
	start := int64(0)
	for _, l := range logs {
		start = max(start, l.Start())
	}
	for i := range logs {
		logs[i].raw = wholeLog(w.t, logs[i].Log, start)
		w.checkEpochs(logs[i])
	}
	for _, other := range logs[1:] {
		if simSlots[slot].compact {
			w.compareCompacted(logs[0], other)
		} else if !bytes.Equal(logs[0].raw, other.raw) {
			w.t.Errorf("%s is not the same at nodes %d and %d: %s", p.tp, logs[0].node, other.node, w.difference(logs[0], other))
		}
	}
	if !w.unclean {
		w.checkKnown(slot, p, recordsOf(w.t, logs[0].raw), start)
	}
}

// checkEpochs holds what a log says of its leader epochs against its batches.
func (w *simWorld) checkEpochs(l simLogOf) {
	for offset, found := range recordsOf(w.t, l.raw) {
		if offset >= l.Start() && l.EpochAt(offset) != found.epoch {
			w.t.Errorf("offset %d of %s at node %d is of leader epoch %d, the log says %d", offset, l, l.node, found.epoch, l.EpochAt(offset))
			return
		}
	}
}

// compareCompacted compares two logs that were compacted by their nodes, each when it
// came to it. After unclean elections they may have left out a record for the sake of
// a later one that was lost.
func (w *simWorld) compareCompacted(a, b simLogOf) {
	inA, inB := recordsOf(w.t, a.raw), recordsOf(w.t, b.raw)
	for offset, found := range inA {
		if other, both := inB[offset]; both && other != found {
			w.t.Errorf("offset %d of %s is %+v at node %d and %+v at node %d", offset, a, found, a.node, other, b.node)
		}
	}
	lastA, lastB := lastOfKeys(inA), lastOfKeys(inB)
	for key, offset := range lastA {
		if lastB[key] != offset && !w.unclean {
			w.t.Errorf("the last record of %s in %s is at %d at node %d and at %d at node %d", key, a, offset, a.node, lastB[key], b.node)
		}
	}
	if len(lastA) != len(lastB) && !w.unclean {
		w.t.Errorf("%s has %d keys at node %d and %d at node %d", a, len(lastA), a.node, len(lastB), b.node)
	}
}

func lastOfKeys(records map[int64]foundRecord) map[string]int64 {
	last := map[string]int64{}
	for offset, found := range records {
		if before, known := last[found.key]; !known || before < offset {
			last[found.key] = offset
		}
	}
	return last
}

// checkKnown holds what the logs have against what clients were told. In a compacted
// log a later record of its key may stand for one.
func (w *simWorld) checkKnown(slot int, p modelPartition, records map[int64]foundRecord, start int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.known[knownPartition{topic: p.id, partition: p.tp.Partition}]
	if known == nil {
		return
	}
	last := lastOfKeys(records)
	for how, told := range map[string]map[int64]string{"acknowledged": known.acked, "shown": known.shown} {
		for offset, value := range told {
			found, is := records[offset]
			if offset < start || is && found.value == value {
				continue
			}
			if key, _, _ := bytes.Cut([]byte(value), []byte(":")); simSlots[slot].compact && !is && last[string(key)] > offset {
				continue
			}
			w.t.Errorf("offset %d of %s was %s as %q, and is %q", offset, p.tp, how, value, found.value)
		}
	}
}

// difference shows where two logs begin to differ, as offset/leader epoch value.
func (w *simWorld) difference(a, b simLogOf) string {
	va, vb := recordsOf(w.t, a.raw), recordsOf(w.t, b.raw)
	for at := max(a.Start(), b.Start()); at < max(a.End(), b.End()); at++ {
		if va[at] != vb[at] {
			return fmt.Sprintf("at %d: %+v and %+v", at, va[at], vb[at])
		}
	}
	return "in bytes alone"
}

// wholeLog returns what a log holds from an offset on.
func wholeLog(t testing.TB, l *log.Log, from int64) (all []byte) {
	for at := from; at < l.End(); {
		s, err := l.Read(at, 1<<20, l.End(), true)
		if err != nil {
			t.Error(err)
			return all
		}
		raw, err := bytesOf(s)
		s.Close()
		if err != nil || len(raw) == 0 && !l.Config().Compact { // compaction may leave nothing up to the end
			t.Errorf("%s at %d: %d bytes, %v", l, at, len(raw), err)
		}
		if len(raw) == 0 {
			return all
		}
		all = append(all, raw...)
		for len(raw) > 0 {
			batch, rest, err := record.Next(raw)
			if err != nil {
				t.Error(err)
				return all
			}
			at, raw = batch.NextOffset(), rest
		}
	}
	return all
}
