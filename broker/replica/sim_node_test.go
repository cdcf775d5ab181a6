package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/fetchsession"
	"github.com/klamm-io/klamm/broker/wait"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

// simNode is one start of a broker, up to its stop or crash.
type simNode struct {
	id          int32
	brokerEpoch int64
	disk        *disk.Memory
	dir         *log.Dir
	set         *Set
	partitions  []*Partition
	busy        *Partition // keeps the disk busy
	replicator  *Replicator
	sessions    *fetchsession.Cache
	dead        atomic.Bool // nothing that it says counts any more
	stop        context.CancelFunc
	tasks       sync.WaitGroup
	watermarks  []int64 // seen last, by the reader
}

var busyID = protocol.TopicID{15: 8}

var simLog = log.Config{
	SegmentBytes: 2000, SegmentAge: time.Hour, SegmentIndexBytes: 1 << 20, IndexIntervalBytes: 200,
	RetentionMs: -1, RetentionBytes: -1, MaxMessageBytes: 1 << 20, Compression: log.ProducerCompression,
	TimestampBeforeMaxMs: 1 << 62, TimestampAfterMaxMs: 1 << 62, FlushOnAck: true,
	FlushMessages: 1 << 62, FlushInterval: 1 << 62,
}

// busyDisk is a disk on which the flushes of one log take a while. A folder that
// may flush one log at a time then lets the others wait; and since they wait for
// their turn and hold no lock, a bubble's time can pass.
type busyDisk struct {
	disk.FS
	takes func() time.Duration
}

func (b busyDisk) OpenFile(name string) (disk.File, error) {
	f, err := b.FS.OpenFile(name)
	if err == nil && strings.Contains(name, "busy-0") && strings.HasSuffix(name, ".log") {
		return busyFile{File: f, takes: b.takes}, nil
	}
	return f, err
}

type busyFile struct {
	disk.File
	takes func() time.Duration
}

func (f busyFile) Sync() error {
	time.Sleep(f.takes())
	return f.File.Sync()
}

// keepBusy appends to the log that is slow to flush, and writes checkpoints.
func (n *simNode) keepBusy(ctx context.Context, rest func() time.Duration) {
	for ctx.Err() == nil {
		if _, err := appendOne(n.busy); err != nil {
			return
		}
		flushed := make(chan struct{})
		n.busy.WhenFlushed(n.busy.LeaderEpoch(), n.busy.Log().End()-1, time.Time{}, func(error) func() { close(flushed); return nil })
		<-flushed
		time.Sleep(rest())
		if rest() < 2*time.Millisecond {
			_ = n.dir.Checkpoint()
		}
	}
}

// startSimNode starts a broker over what a disk holds.
func startSimNode(t testing.TB, id int32, m *disk.Memory, partitions int, flushTakes func() time.Duration) *simNode {
	t.Helper()
	dir, err := log.OpenDir("d", log.DirConfig{NodeID: id, Flushes: 1, ProducerExpiry: time.Hour},
		log.Deps{FS: busyDisk{FS: m, takes: flushTakes}, Logger: slog.New(slog.DiscardHandler), Observe: unobserved{}})
	if err != nil {
		t.Fatal(err)
	}
	n := &simNode{id: id, disk: m, dir: dir, set: NewSet(), sessions: fetchsession.New(10, time.Minute), watermarks: make([]int64, partitions)}
	for i := range int32(partitions) {
		tp := protocol.TopicPartition{Topic: "flights", Partition: i}
		l, err := dir.Open(tp, flightsID, simLog)
		if err != nil {
			t.Fatal(err)
		}
		n.partitions = append(n.partitions, n.set.AddReplica(tp, flightsID, l))
	}
	tp := protocol.TopicPartition{Topic: "busy"}
	l, err := dir.Open(tp, busyID, simLog)
	if err != nil {
		t.Fatal(err)
	}
	n.busy = NewSet().Add(tp, busyID, 0, l)
	return n
}

// run starts what replicates.
func (n *simNode) run(deps ReplicatorDeps) context.Context {
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	n.replicator = NewReplicator(ReplicatorConfig{
		Node: n.id, LagMax: 300 * time.Millisecond, ProposalBackoff: 20 * time.Millisecond, FetchWait: 100 * time.Millisecond,
		FetchBackoff: 100 * time.Millisecond, MinBytes: 1, MaxBytes: 1 << 20, PartitionMaxBytes: 600,
	}, deps)
	n.tasks.Go(func() { _ = n.set.Run(ctx) })
	n.tasks.Go(func() { _ = n.replicator.Run(ctx) })
	return ctx
}

// end stops everything and waits for it.
func (n *simNode) end() {
	n.stop()
	n.tasks.Wait()
	_ = n.dir.Close()
}

// serve answers what another node asks.
func (n *simNode) serve(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	switch req := req.(type) {
	case *kmsg.FetchRequest:
		return n.serveFetch(ctx, req), nil
	case *kmsg.ListOffsetsRequest:
		return n.serveListOffsets(req), nil
	}
	return nil, fmt.Errorf("nobody asks for %T", req)
}

func (n *simNode) serveListOffsets(req *kmsg.ListOffsetsRequest) *kmsg.ListOffsetsResponse {
	asked := req.Topics[0].Partitions[0]
	response, t, a := kmsg.NewPtrListOffsetsResponse(), kmsg.NewListOffsetsResponseTopic(), kmsg.NewListOffsetsResponseTopicPartition()
	p := n.partitions[asked.Partition]
	switch err := p.CheckEpoch(asked.CurrentLeaderEpoch); {
	case err != nil || !p.Leads():
		a.ErrorCode = kerr.NotLeaderForPartition.Code
	case asked.Timestamp == earliestOffset:
		a.Offset = p.Log().Start()
	default:
		a.Offset = p.Log().End()
	}
	t.Partitions = append(t.Partitions, a)
	response.Topics = append(response.Topics, t)
	return response
}

func (n *simNode) serveFetch(ctx context.Context, req *kmsg.FetchRequest) *kmsg.FetchResponse {
	req.Version = 17
	response := kmsg.NewPtrFetchResponse()
	f, err := n.sessions.Open(req, time.Now())
	if err != nil {
		response.ErrorCode = codeOf(err)
		return response
	}
	response.SessionID = f.SessionID()
	poll := wait.NewPoll()
	for _, p := range n.partitions {
		p.ReplicaPolls().Add(poll)
		defer p.ReplicaPolls().Remove(poll)
	}
	deadline := time.NewTimer(time.Duration(req.MaxWaitMillis) * time.Millisecond)
	defer deadline.Stop()
	for waiting := true; ; {
		answers, enough := n.readAll(f, req)
		if enough || !waiting {
			response.Topics = tell(f, answers)
			return response
		}
		select {
		case <-poll.Woken():
		case <-deadline.C:
			waiting = false
		case <-ctx.Done():
			waiting = false
		}
	}
}

func (n *simNode) readAll(f *fetchsession.Fetch, req *kmsg.FetchRequest) (answers []kmsg.FetchResponseTopicPartition, enough bool) {
	enough = len(f.Wanted) == 0
	for _, w := range f.Wanted {
		a := n.read(w, req)
		enough = enough || special(&a) || len(a.RecordBatches) > 0
		answers = append(answers, a)
	}
	return answers, enough
}

func special(a *kmsg.FetchResponseTopicPartition) bool {
	return a.ErrorCode != 0 || a.DivergingEpoch.Epoch >= 0
}

// tell leaves out what the session has told before.
func tell(f *fetchsession.Fetch, answers []kmsg.FetchResponseTopicPartition) []kmsg.FetchResponseTopic {
	topic := kmsg.NewFetchResponseTopic()
	topic.TopicID = flightsID
	for i, a := range answers {
		if f.Keep(i, fetchsession.Answer{HighWatermark: a.HighWatermark, LogStart: a.LogStartOffset, Records: len(a.RecordBatches) > 0, Special: special(&a)}) {
			topic.Partitions = append(topic.Partitions, a)
		}
	}
	f.Rotate()
	return []kmsg.FetchResponseTopic{topic}
}

func (n *simNode) read(w fetchsession.Wanted, req *kmsg.FetchRequest) kmsg.FetchResponseTopicPartition {
	a := kmsg.NewFetchResponseTopicPartition()
	a.Partition = w.Partition
	answer, err := n.partitions[w.Partition].FetchAsFollower(FollowerFetch{
		Replica: req.ReplicaState.ID, BrokerEpoch: req.ReplicaState.Epoch, Offset: w.Offset, LeaderEpoch: w.CurrentLeaderEpoch,
		LastFetchedEpoch: w.LastFetchedEpoch, MaxBytes: int(w.MaxBytes), AtLeastOne: true,
	})
	if err != nil {
		a.ErrorCode = codeOf(err)
		return a
	}
	a.HighWatermark, a.LogStartOffset = answer.HighWatermark, answer.LogStart
	if d := answer.Diverging; d != nil {
		a.DivergingEpoch.Epoch, a.DivergingEpoch.EndOffset = d.Epoch, d.Offset
	}
	a.RecordBatches = answer.Records
	return a
}

func bytesOf(s log.Slice) ([]byte, error) {
	if s.Len == 0 {
		return nil, nil
	}
	raw := make([]byte, s.Len)
	if n, err := s.File.ReadAt(raw, s.Off); n < s.Len || err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%d of %d bytes: %w: %w", n, s.Len, err, kerr.NotLeaderForPartition) // it was truncated meanwhile
	}
	return raw, nil
}

func codeOf(err error) int16 {
	var coded *kerr.Error
	if errors.As(err, &coded) {
		return coded.Code
	}
	return kerr.UnknownServerError.Code
}
