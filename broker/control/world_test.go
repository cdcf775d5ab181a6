package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/protocol"
)

const (
	self        = 1
	sessionTime = 2500 * time.Millisecond
	// latency is what a request takes there, and the answer back.
	latency = time.Millisecond
)

// world is a cluster that decides as a real one does, around the conversation of
// broker 1. It is the conversation's view, which lags behind what is decided.
type world struct {
	*Conversation
	t     *testing.T
	began time.Time
	stop  context.CancelFunc
	tasks sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	lines     []string
	image     *metadata.Image // as decided
	offset    int64
	liveness  *controller.Liveness
	inputs    controller.Inputs
	known     *metadata.Image // as this node has it
	applied   int64
	lag       time.Duration
	decides   int32            // the active controller
	id, epoch int32            // as this node knows of it
	changed   chan struct{}    // closed and replaced when what this node knows changes
	modes     map[int32]string // how nodes answer: silent, refused, lost, or with one of the refusals
	after     []func()         // what was decided and is not known here yet
}

func newWorld(t *testing.T) *world {
	c, _, err := config.Load("", nil, []string{"log.dirs=nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	named, _, err := metadata.Empty().Apply([]metadata.Record{&metadata.ClusterNamed{ClusterID: "klamm"}})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, began: time.Now(), image: named, known: named, lag: 5 * time.Millisecond, decides: 101, id: 101, epoch: 1,
		changed: make(chan struct{}), modes: map[int32]string{},
		inputs: controller.Inputs{NewTopicID: protocol.NewTopicID, Config: c},
	}
	w.liveness = controller.NewLiveness(sessionTime, 200*time.Millisecond, named, 0, time.Now())
	w.Conversation = New(Config{
		Node: self, ClusterID: "klamm", Incarnation: [16]byte{1}, LogDirs: [][16]byte{{0xd1, 1}}, Cordoned: func() [][16]byte { return nil }, PreviousBrokerEpoch: -1,
		HeartbeatInterval: 500 * time.Millisecond, SessionTimeout: sessionTime,
	}, Deps{View: w, Local: w, Send: w.sendOver, Logger: slog.New(slog.NewTextHandler(&logLines{w}, nil))})
	return w
}

// logLines puts the warnings into the transcript.
type logLines struct{ w *world }

func (l *logLines) Write(p []byte) (int, error) {
	_, line, _ := strings.Cut(string(p), "level=")
	if strings.HasPrefix(line, "WARN") {
		l.w.note("%s", strings.TrimSpace(line))
	}
	return len(p), nil
}

func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	w.tasks.Go(func() {
		err := w.Run(ctx)
		w.note("Run ended: %v", err)
	})
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fmt.Sprintf("%6dms  %s", time.Since(w.began).Milliseconds(), fmt.Sprintf(format, args...)))
}

func (w *world) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := w.lines
	w.lines = nil
	slices.Sort(lines) // what happens in the same millisecond happens in any order
	return strings.Join(append(lines, ""), "\n")
}

func (w *world) announce() {
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *world) Image() *metadata.Image {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known
}

func (w *world) Leader() (id, epoch int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.id, w.epoch
}

func (w *world) Applied() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.applied
}

// await waits until holds is true of what this node knows.
func (w *world) await(ctx context.Context, holds func() bool) error {
	for {
		w.mu.Lock()
		done, changed := holds(), w.changed
		w.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *world) AwaitApplied(ctx context.Context, offset int64) error {
	return w.await(ctx, func() bool { return w.applied >= offset })
}

func (w *world) AwaitLeaderChange(ctx context.Context, id, epoch int32) (newID, newEpoch int32, err error) {
	err = w.await(ctx, func() bool { newID, newEpoch = w.id, w.epoch; return newID != id || newEpoch != epoch })
	return newID, newEpoch, err
}

// elect makes a node the active controller, -1 for none, which this node does not
// know yet.
func (w *world) elect(id int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.decides = id
	w.liveness = controller.NewLiveness(sessionTime, 200*time.Millisecond, w.image, w.offset, time.Now())
}

// lead makes a node the active controller, as this node knows.
func (w *world) lead(id int32) {
	w.elect(id)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.id, w.epoch = id, w.epoch+1
	w.announce()
}

// skip lets this node know of all that was decided, at once, as by a snapshot.
func (w *world) skip() {
	w.mu.Lock()
	delta := metadata.Diff(w.known, w.image)
	w.known, w.applied, w.after = w.image, w.offset, nil
	w.announce()
	known := w.known
	w.mu.Unlock()
	w.MetadataChanged(known, delta)
}

// decide makes records so; this node knows of them later. The caller holds mu.
func (w *world) decide(records ...metadata.Record) {
	if len(records) == 0 {
		return
	}
	next, delta, err := w.image.Apply(records)
	if err != nil {
		panic(err)
	}
	w.image = next
	w.offset++
	offset := w.offset
	w.after = append(w.after, func() {
		w.mu.Lock()
		w.known, w.applied = next, offset
		w.announce()
		w.mu.Unlock()
		w.MetadataChanged(next, delta)
	})
	if w.lag >= 0 {
		time.AfterFunc(w.lag, w.learn)
	}
}

// learn lets this node know of the oldest decision that it does not know yet.
func (w *world) learn() {
	w.mu.Lock()
	next := w.after[0]
	w.after = w.after[1:]
	w.mu.Unlock()
	next()
}

// resume lets this node know of all that was decided.
func (w *world) resume(lag time.Duration) {
	w.mu.Lock()
	n := len(w.after)
	w.lag = lag
	w.mu.Unlock()
	for range n {
		w.learn()
	}
}

func (w *world) decideNow(records ...metadata.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.decide(records...)
}

var refusals = map[string]*kerr.Error{
	"other-cluster": kerr.InconsistentClusterID, "copied-dir": kerr.InvalidRegistration, "too-old": kerr.UnsupportedVersion, "busy": kerr.RequestTimedOut,
}

var errRefused = errors.New("connection refused")

// sendOver is the way to another node's controller listener.
func (w *world) sendOver(ctx context.Context, node int32, req kmsg.Request) (kmsg.Response, error) {
	w.note("to %d: %s", node, w.describe(req))
	w.mu.Lock()
	mode := w.modes[node]
	w.mu.Unlock()
	switch mode {
	case "refused":
		return nil, errRefused
	case "silent":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	time.Sleep(latency)
	resp := w.serve(node, req)
	time.Sleep(latency)
	if mode == "lost" {
		return nil, errors.New("the connection broke")
	}
	return resp, ctx.Err()
}

// serve is what a node answers.
func (w *world) serve(node int32, req kmsg.Request) kmsg.Response {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &controller.Controller{}
	resp := req.ResponseKind()
	if node != w.decides {
		refuse(resp, kerr.NotController)
		return resp
	}
	var records []metadata.Record
	switch req := req.(type) {
	case *kmsg.BrokerRegistrationRequest:
		var registered *kmsg.BrokerRegistrationResponse
		records, registered, _ = c.RegisterBroker(w.image, req, w.liveness.Alive(w.image, req.BrokerID, time.Now()), w.inputs)
		if code := refusals[w.modes[node]]; code != nil {
			records, registered.ErrorCode = nil, code.Code
		}
		if registered.ErrorCode == 0 {
			defer func() { w.liveness.Registered(req.BrokerID, registered.BrokerEpoch, w.offset, time.Now()) }()
		}
		resp = registered
	case *kmsg.BrokerHeartbeatRequest:
		resp = w.heartbeat(req)
	case *kmsg.AlterPartitionRequest:
		records, resp = c.AlterPartition(w.image, req, w.inputs)
	case *kmsg.AllocateProducerIDsRequest:
		answer := resp.(*kmsg.AllocateProducerIDsResponse)
		if b, found := w.image.Broker(req.BrokerID); !found || b.Epoch != req.BrokerEpoch {
			answer.ErrorCode = kerr.StaleBrokerEpoch.Code
			break
		}
		records, answer.ProducerIDStart, _ = c.AllocateProducerIDs(w.image)
		answer.ProducerIDLen = controller.ProducerIDBlock
	case *kmsg.CreateTopicsRequest:
		records, resp = c.CreateTopics(w.image, req, w.inputs)
	case *kmsg.DescribeQuorumRequest:
		p := kmsg.NewDescribeQuorumResponseTopicPartition()
		p.HighWatermark = w.offset
		resp.(*kmsg.DescribeQuorumResponse).Topics = []kmsg.DescribeQuorumResponseTopic{{Partitions: []kmsg.DescribeQuorumResponseTopicPartition{p}}}
	}
	w.decide(records...)
	return resp
}

func refuse(resp kmsg.Response, why *kerr.Error) {
	switch resp := resp.(type) {
	case *kmsg.BrokerRegistrationResponse:
		resp.ErrorCode = why.Code
	case *kmsg.BrokerHeartbeatResponse:
		resp.ErrorCode = why.Code
	case *kmsg.AlterPartitionResponse:
		resp.ErrorCode = why.Code
	case *kmsg.AllocateProducerIDsResponse:
		resp.ErrorCode = why.Code
	case *kmsg.CreateTopicsResponse:
		resp.Topics = []kmsg.CreateTopicsResponseTopic{{ErrorCode: why.Code}}
	}
}

// heartbeat takes in how a broker is. The caller holds mu.
func (w *world) heartbeat(req *kmsg.BrokerHeartbeatRequest) *kmsg.BrokerHeartbeatResponse {
	if b, found := w.image.Broker(req.BrokerID); found && b.Epoch == req.BrokerEpoch {
		w.liveness.Heard(req.BrokerID, req.BrokerEpoch, req.CurrentMetadataOffset, time.Now())
	}
	records, resp := (&controller.Controller{}).Heartbeat(w.image, req, w.liveness.Progress(w.image, req.BrokerID), w.inputs)
	w.decide(records...)
	if req.WantShutdown && len(records) > 0 {
		w.liveness.Moved(req.BrokerID, w.offset)
	}
	return resp
}

// What follows is the local controller.

func (w *world) RegisterBroker(_ context.Context, req *kmsg.BrokerRegistrationRequest) *kmsg.BrokerRegistrationResponse {
	return here[*kmsg.BrokerRegistrationResponse](w, req)
}

func (w *world) Heartbeat(_ context.Context, req *kmsg.BrokerHeartbeatRequest) *kmsg.BrokerHeartbeatResponse {
	return here[*kmsg.BrokerHeartbeatResponse](w, req)
}

func (w *world) AlterPartition(_ context.Context, req *kmsg.AlterPartitionRequest) *kmsg.AlterPartitionResponse {
	return here[*kmsg.AlterPartitionResponse](w, req)
}

func (w *world) AllocateProducerIDs(_ context.Context, req *kmsg.AllocateProducerIDsRequest) *kmsg.AllocateProducerIDsResponse {
	return here[*kmsg.AllocateProducerIDsResponse](w, req)
}

func here[R kmsg.Response](w *world, req kmsg.Request) R {
	w.note("here: %s", w.describe(req))
	time.Sleep(latency)
	return w.serve(self, req).(R)
}

// describe is a request in a transcript.
func (w *world) describe(req kmsg.Request) string {
	switch req := req.(type) {
	case *kmsg.BrokerRegistrationRequest:
		return fmt.Sprintf("register v%d", req.Version)
	case *kmsg.BrokerHeartbeatRequest:
		line := fmt.Sprintf("heartbeat v%d epoch=%d offset=%d", req.Version, req.BrokerEpoch, req.CurrentMetadataOffset)
		for _, word := range []struct {
			said bool
			text string
		}{{req.WantFence, " fenced"}, {req.WantShutdown, " leaving"}} {
			if word.said {
				line += word.text
			}
		}
		return line
	case *kmsg.AlterPartitionRequest:
		line := fmt.Sprintf("alter v%d epoch=%d", req.Version, req.BrokerEpoch)
		for _, t := range req.Topics {
			name := "?"
			w.mu.Lock()
			if found, is := w.image.TopicByID(t.TopicID); is {
				name = found.Name
			}
			w.mu.Unlock()
			for _, p := range t.Partitions {
				var isr []string
				for _, m := range p.NewEpochISR {
					isr = append(isr, fmt.Sprintf("%d@%d", m.BrokerID, m.BrokerEpoch))
				}
				line += fmt.Sprintf(" %s-%d[%s]", name, p.Partition, strings.Join(isr, " "))
			}
		}
		return line
	}
	return kmsg.NameForKey(req.Key())
}

// others registers active brokers.
func (w *world) others(ids ...int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		b := metadata.Broker{ID: id, Epoch: w.image.LastBrokerEpoch() + 1, Incarnation: [16]byte{byte(id)}}
		b.LogDirs = [][16]byte{{0xd1, byte(id)}}
		w.decide(&metadata.BrokerRegistered{Broker: b})
		w.liveness.Registered(id, b.Epoch, w.offset, time.Now())
	}
}

// topic makes a topic of n partitions that broker 1 leads, with replicas on others.
func (w *world) topic(name string, n int, isr []int32) {
	t := metadata.Topic{Name: name, ID: protocol.NewTopicID()}
	for range n {
		t.Partitions = append(t.Partitions, metadata.Partition{Leader: self, Replicas: []int32{1, 2, 3}, ISR: slices.Clone(isr)})
	}
	w.decideNow(&metadata.TopicCreated{Topic: t})
}

// propose asks for an ISR by what this node knows, and notes the answer.
func (w *world) propose(name string, partition int32, isr []int32) {
	t, found := w.Image().Topic(name)
	if !found {
		w.t.Fatalf("no topic %s is known here", name)
	}
	p := replica.Proposal{TopicPartition: protocol.TopicPartition{Topic: name, Partition: partition}, TopicID: t.ID}
	p.LeaderEpoch, p.PartitionEpoch = t.Partitions[partition].LeaderEpoch, t.Partitions[partition].PartitionEpoch
	for _, id := range isr {
		m := replica.Member{ID: id, BrokerEpoch: -1}
		if b, found := w.Image().Broker(id); found && id != self {
			m.BrokerEpoch = b.Epoch
		}
		p.ISR = append(p.ISR, m)
	}
	w.ProposeISR(p, func(a replica.ProposalAnswer) {
		if a.Err != nil {
			w.note("%s: %v", p.TopicPartition, a.Err)
			return
		}
		w.note("%s: epoch %d isr %v of %v", p.TopicPartition, a.Assignment.PartitionEpoch, a.Assignment.ISR, a.Assignment.Replicas)
	})
}
