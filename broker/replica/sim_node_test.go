package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

// simSlot is a partition of the simulation, whichever topic of that name there is.
type simSlot struct {
	protocol.TopicPartition
	compact        bool
	retentionBytes int64 // -1: all is kept
}

var simSlots = []simSlot{
	{TopicPartition: protocol.TopicPartition{Topic: "flights"}, retentionBytes: -1},
	{TopicPartition: protocol.TopicPartition{Topic: "flights", Partition: 1}, retentionBytes: 8000},
	{TopicPartition: protocol.TopicPartition{Topic: "planes"}, compact: true, retentionBytes: -1},
}

// logConfig is how the logs of a slot behave.
func (s simSlot) logConfig() log.Config {
	c := simLog
	c.Compact, c.Delete, c.RetentionBytes = s.compact, !s.compact, s.retentionBytes
	return c
}

// simNode is one start of a broker, up to its stop.
type simNode struct {
	id          int32
	brokerEpoch int64
	disk        *disk.Memory
	chance      *chance
	dir         *log.Dir
	cleaner     *log.Cleaner
	set         *Set
	busy        *Partition // keeps the disk busy
	replicator  *Replicator
	sessions    *Sessions
	dead        atomic.Bool // nothing that it says counts any more
	stop        context.CancelFunc
	tasks       sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	replicas []*simReplica // by slot, nil where there is none
}

// simReplica is a replica that a node has.
type simReplica struct {
	*Partition
	slot      int
	watermark int64 // that its reader saw last
}

var busyID = protocol.TopicID{15: 8}

var simLog = log.Config{
	SegmentBytes: 2000, SegmentAge: time.Hour, SegmentIndexBytes: 1 << 20, IndexIntervalBytes: 200,
	RetentionMs: -1, RetentionBytes: -1, MaxMessageBytes: 1 << 20, Compression: log.ProducerCompression,
	TimestampBeforeMaxMs: 1 << 62, TimestampAfterMaxMs: 1 << 62, FlushOnAck: true,
	FlushMessages: 1 << 62, FlushInterval: 1 << 62, MinDirtyRatio: 0.2, DeleteRetention: time.Hour,
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

// keepBusy appends to the log that is slow to flush, and in between does the upkeep
// of the others: checkpoints, retention, the scrub and compaction. They take turns,
// because what waits for a flush there holds locks, and while others wait for those no
// time passes in a bubble.
func (n *simNode) keepBusy(ctx context.Context) {
	who := fmt.Sprint("upkeep of ", n.id)
	for ctx.Err() == nil {
		if _, err := appendOne(n.busy); err != nil {
			return
		}
		flushed := make(chan struct{})
		n.busy.WhenFlushed(n.busy.LeaderEpoch(), n.busy.Log().End()-1, time.Time{}, func(error) func() { close(flushed); return nil })
		<-flushed
		time.Sleep(n.chance.millis(who, 30))
		switch n.chance.pick(who, 15) {
		case 0:
			_ = n.dir.Checkpoint()
		case 1, 2:
			brief(ctx, 2*time.Millisecond, n.dir.Run)
		case 3:
			brief(ctx, 1100*time.Millisecond, n.dir.Run) // which deletes files that retention took out
		case 4, 5:
			brief(ctx, time.Millisecond, n.cleaner.Run)
		}
	}
}

// brief lets something run for a while.
func brief(ctx context.Context, d time.Duration, run func(context.Context) error) {
	ctx, stop := context.WithTimeout(ctx, d)
	defer stop()
	_ = run(ctx)
}

// openSimDir opens the folder of logs on a node's disk.
func openSimDir(t testing.TB, id int32, fs disk.FS, logger *slog.Logger) *log.Dir {
	t.Helper()
	dir, err := log.OpenDir("d", log.DirConfig{
		NodeID: id, Flushes: 1, ProducerExpiry: time.Hour, RetentionInterval: time.Millisecond, ScrubBytesPerSecond: 1 << 40, ScrubInterval: time.Hour,
	}, log.Deps{FS: fs, Logger: logger, Observe: undamaged{t}})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// undamaged says that no disk of the simulation changes what it keeps.
type undamaged struct{ t testing.TB }

func (undamaged) Flushed(time.Duration) {}
func (u undamaged) Damaged(tp protocol.TopicPartition) {
	u.t.Errorf("%s is taken for damaged", tp)
}

// startSimNode starts a broker over what a disk holds. It has no replicas yet.
func startSimNode(t testing.TB, id int32, m *disk.Memory, c *chance, flushMillis int, logger *slog.Logger) *simNode {
	t.Helper()
	fs := busyDisk{
		FS:    yieldingDisk{FS: m, chance: c, who: fmt.Sprint("disk of ", id)},
		takes: func() time.Duration { return c.millis(fmt.Sprint("flush of ", id), flushMillis) },
	}
	n := &simNode{
		id: id, disk: m, chance: c, dir: openSimDir(t, id, fs, logger), set: NewSet(),
		sessions: NewSessions(), replicas: make([]*simReplica, len(simSlots)),
	}
	n.cleaner = log.NewCleaner(log.CleanerConfig{
		Threads: 1, DedupeBytes: 1 << 16, LoadFactor: 0.9, IOBufferBytes: 1 << 16, BytesPerSecond: 1e15, Backoff: time.Hour,
	}, []*log.Dir{n.dir}, logger)
	tp := protocol.TopicPartition{Topic: "busy"}
	c2 := simLog
	c2.SegmentBytes = 1 << 30 // a roll would flush with the log's lock held
	l, err := n.dir.Open(tp, busyID, c2)
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

// replica returns the node's replica of a slot, nil where it has none.
func (n *simNode) replica(slot int) *simReplica {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.replicas[slot]
}

// assign makes the replicas what the controller says. One goroutine calls it.
func (n *simNode) assign(t testing.TB, all []modelPartition) {
	for slot, p := range all { // first, because a set knows one topic of a name
		if has := n.replica(slot); has != nil && (has.TopicID != p.id || !slices.Contains(p.Replicas, n.id)) {
			n.drop(t, has)
		}
	}
	for slot, p := range all {
		if p.id == (protocol.TopicID{}) || !slices.Contains(p.Replicas, n.id) {
			continue
		}
		has := n.replica(slot)
		if has == nil {
			has = n.open(slot, p)
		}
		n.replicator.Assign(has.Partition, p.Assignment)
	}
}

// open makes a replica of a slot over what the disk has of it.
func (n *simNode) open(slot int, p modelPartition) *simReplica {
	l, err := n.dir.Open(p.tp, p.id, simSlots[slot].logConfig())
	if err != nil {
		panic(err) // a bubble whose nodes wait for each other cannot be ended otherwise
	}
	r := &simReplica{Partition: n.set.AddReplica(p.tp, p.id, l), slot: slot}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.replicas[slot] = r
	return r
}

// drop lets go of a replica that is not this node's any more.
func (n *simNode) drop(t testing.TB, r *simReplica) {
	n.set.RemoveOne(r.TopicPartition)
	n.replicator.Remove(r.Partition)
	n.mu.Lock()
	n.replicas[r.slot] = nil
	n.mu.Unlock()
	if err := n.dir.Delete(r.TopicPartition); err != nil {
		t.Error(err)
	}
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
	p, err := n.set.Get(req.Topics[0].Topic, asked.Partition)
	if err == nil {
		err = p.CheckEpoch(asked.CurrentLeaderEpoch)
	}
	switch {
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
	session, err := n.sessions.Open(req, req.ReplicaState.ID, func(id protocol.TopicID, partition int32) (*Partition, error) {
		_, p, err := n.set.GetByID(id, partition)
		return p, err
	})
	if err != nil {
		response.ErrorCode = codeOf(err)
		return response
	}
	defer session.Close()
	response.SessionID = session.ID()
	deadline := time.NewTimer(time.Duration(req.MaxWaitMillis) * time.Millisecond)
	defer deadline.Stop()
	for waiting := true; ; {
		hold := session.Gather(time.Now())
		answers, enough := readAll(session, hold > 0)
		if enough || !waiting {
			response.Topics = tell(answers)
			return response
		}
		var gathered <-chan time.Time // nil: nothing is gathered
		if hold > 0 {
			gathered = time.After(hold)
		}
		select {
		case <-gathered:
		case <-session.Woken():
		case <-deadline.C:
			waiting = false
		case <-ctx.Done():
			waiting = false
		}
	}
}

// simAnswer is what a leader says of one partition.
type simAnswer struct {
	FollowerAnswer
	wanted *Wanted
	err    error
}

// readAll answers what has moved, with no records where those are to be gathered.
func readAll(session *Session, gather bool) (answers []simAnswer, enough bool) {
	most := 1 << 20
	if gather {
		most = 0
	}
	enough = session.Empty()
	for _, w := range session.Look() {
		a := simAnswer{wanted: w}
		a.FollowerAnswer, a.err = w.Read(FollowerFetch{MaxBytes: most, AtLeastOne: !gather})
		enough = enough || a.err != nil || a.Diverging != nil || len(a.Records) > 0
		answers = append(answers, a)
	}
	return answers, enough
}

// tell leaves out what the session has told before.
func tell(answers []simAnswer) (topics []kmsg.FetchResponseTopic) {
	for _, a := range answers {
		if a.wanted.News(a.FollowerAnswer, a.err) {
			topics = append(topics, a.told())
		}
	}
	return topics
}

// told is the answer as a response has it.
func (a *simAnswer) told() kmsg.FetchResponseTopic {
	topic, p := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
	topic.TopicID, p.Partition = a.wanted.ID, a.wanted.Partition
	if a.err != nil {
		p.ErrorCode = codeOf(a.err)
	} else {
		p.HighWatermark, p.LogStartOffset, p.RecordBatches = a.HighWatermark, a.LogStart, a.Records
	}
	if d := a.Diverging; d != nil {
		p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = d.Epoch, d.Offset
	}
	topic.Partitions = append(topic.Partitions, p)
	return topic
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
