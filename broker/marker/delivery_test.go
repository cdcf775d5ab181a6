package marker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol"
)

// world is a cluster around node 1, whose other nodes answer as they are told to.
type world struct {
	*Delivery
	t     *testing.T
	began time.Time
	stop  context.CancelFunc
	ended chan error

	mu      sync.Mutex
	image   *metadata.Image             // guarded by mu
	lines   []string                    // guarded by mu
	answers map[int32]func() error      // what nodes say of each marker; nil: it is written; guarded by mu
	broken  map[int32]error             // nodes that cannot be reached; guarded by mu
	hung    map[int32]bool              // nodes that do not answer; guarded by mu
	took    time.Duration               // how long an answer takes; guarded by mu
	id      map[string]protocol.TopicID // guarded by mu
}

const node = 1

func newWorld(t *testing.T, patience time.Duration) *world {
	w := &world{
		t: t, began: time.Now(), image: metadata.Empty(), ended: make(chan error, 1), took: time.Millisecond,
		answers: map[int32]func() error{}, broken: map[int32]error{}, hung: map[int32]bool{}, id: map[string]protocol.TopicID{},
	}
	w.Delivery = New(Config{Node: node, AbsentPatience: patience}, Deps{Image: w.now, Write: w.write, Send: w.send, Logger: slog.New(slog.DiscardHandler)})
	for id := range int32(3) {
		w.decide(&metadata.BrokerRegistered{Broker: metadata.Broker{ID: id + 1, Epoch: int64(id)}})
	}
	return w
}

func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	go func() { w.ended <- w.Run(ctx) }()
}

func (w *world) end() {
	w.stop()
	if err := <-w.ended; err != nil {
		w.t.Error(err)
	}
}

func (w *world) now() *metadata.Image {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.image
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fmt.Sprintf("%dms %s", time.Since(w.began).Milliseconds(), fmt.Sprintf(format, args...)))
}

// told compares what has happened since it was asked last. What happens in the same
// millisecond happens in any order.
func (w *world) told(want ...string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	got := w.lines
	w.lines = nil
	w.mu.Unlock()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func (w *world) decide(records ...metadata.Record) {
	w.mu.Lock()
	image, _, err := w.image.Apply(records)
	if err != nil {
		w.t.Error(err)
	}
	w.image = image
	w.mu.Unlock()
	w.MetadataChanged(image)
}

// topic makes a topic whose partitions are led by these nodes; -1 for none.
func (w *world) topic(name string, leaders ...int32) {
	t := metadata.Topic{Name: name, ID: protocol.NewTopicID()}
	for _, id := range leaders {
		t.Partitions = append(t.Partitions, metadata.Partition{Leader: id, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2, 3}})
	}
	w.id[name] = t.ID
	w.decide(&metadata.TopicCreated{Topic: t})
}

// move lets another node lead a partition.
func (w *world) move(name string, partition, to int32) {
	t, _ := w.now().Topic(name)
	p := t.Partitions[partition]
	p.Leader = to
	p.LeaderEpoch++
	p.PartitionEpoch++
	w.decide(&metadata.PartitionsChanged{TopicID: t.ID, Changes: []metadata.PartitionChange{{Index: partition, Partition: p}}})
}

func (w *world) write(m step.Marker, tp protocol.TopicPartition, done func(error)) {
	w.note("here: %d %s", m.ProducerID, tp)
	w.mu.Lock()
	answer := w.answers[node]
	w.mu.Unlock()
	if answer != nil {
		done(answer())
		return
	}
	done(nil)
}

func (w *world) send(ctx context.Context, to int32, req kmsg.Request) (kmsg.Response, error) {
	asked := req.(*kmsg.WriteTxnMarkersRequest)
	resp := asked.ResponseKind().(*kmsg.WriteTxnMarkersResponse)
	w.mu.Lock()
	answer, broken, hung, took := w.answers[to], w.broken[to], w.hung[to], w.took
	w.mu.Unlock()
	line := fmt.Sprintf("to %d:", to)
	for _, m := range asked.Markers {
		told := kmsg.WriteTxnMarkersResponseMarker{ProducerID: m.ProducerID}
		line += fmt.Sprintf(" %d", m.ProducerID)
		for _, t := range m.Topics {
			line += fmt.Sprintf(" %s%v", t.Topic, t.Partitions)
			topic := kmsg.WriteTxnMarkersResponseMarkerTopic{Topic: t.Topic}
			for _, p := range t.Partitions {
				a := kmsg.WriteTxnMarkersResponseMarkerTopicPartition{Partition: p}
				if answer != nil {
					a.ErrorCode = protocol.ErrorCode(answer())
				}
				topic.Partitions = append(topic.Partitions, a)
			}
			told.Topics = append(told.Topics, topic)
		}
		resp.Markers = append(resp.Markers, told)
	}
	w.note("%s", line)
	switch {
	case broken != nil:
		return nil, broken
	case hung:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	time.Sleep(took)
	return resp, nil
}

// mark asks for the marker of a producer and notes what came of it.
func (w *world) mark(term context.Context, producer int64, tps ...protocol.TopicPartition) {
	w.WriteMarkers(term, step.Marker{ProducerID: producer, Version: 2}, tps, func(written []protocol.TopicPartition, err error) {
		w.note("done %d: %d written, %v", producer, len(written), err)
	})
}

func at(topic string, partition int32) protocol.TopicPartition {
	return protocol.TopicPartition{Topic: topic, Partition: partition}
}

// TestEveryLeaderIsTold: each once, and the transaction is done with the last of
// them; what is for a node while it is asked goes out together.
func TestEveryLeaderIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.topic("a", 1, 2, 3, 2)
		w.topic("b", 2)
		w.start()
		w.told()
		w.mark(t.Context(), 7, at("a", 1))
		w.told("0ms to 2: 7 a[1]")
		w.mark(t.Context(), 8, at("a", 0), at("a", 1), at("a", 2), at("a", 3), at("b", 0))
		w.mark(t.Context(), 9, at("a", 1))
		w.told("0ms here: 8 a-0", "0ms to 3: 8 a[2]")
		time.Sleep(3 * time.Millisecond)
		w.told("1ms done 7: 1 written, <nil>", "1ms to 2: 8 a[1 3] b[0] 9 a[1]", "2ms done 8: 5 written, <nil>", "2ms done 9: 1 written, <nil>")
		w.mark(t.Context(), 10)
		w.told("3ms done 10: 0 written, <nil>")
		w.end()
	})
}

// TestLeadersMove: a marker goes to who leads then, at once, also where the former
// leader hangs.
func TestLeadersMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.topic("a", 2, 3, -1)
		w.start()
		w.answers[2] = func() error { return kerr.NotLeaderForPartition }
		w.hung[3] = true
		w.mark(t.Context(), 7, at("a", 0))
		w.mark(t.Context(), 8, at("a", 1))
		w.mark(t.Context(), 9, at("a", 2))
		time.Sleep(50 * time.Millisecond)
		w.told("0ms to 2: 7 a[0]", "0ms to 3: 8 a[1]", "21ms to 2: 7 a[0]")
		w.move("a", 0, 1)
		w.told("50ms here: 7 a-0", "50ms done 7: 1 written, <nil>")
		w.move("a", 2, 1)
		w.told("50ms here: 9 a-2", "50ms done 9: 1 written, <nil>")
		time.Sleep(50 * time.Millisecond)
		w.move("a", 1, 1)
		w.told()
		w.decide(&metadata.BrokerChanged{ID: 3, Epoch: 2, State: metadata.BrokerState{Fenced: true}})
		w.told("100ms here: 8 a-1", "100ms done 8: 1 written, <nil>")
		w.end()
	})
}

// TestHungNode: a node that neither answers nor is fenced is given up after a while.
func TestHungNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.topic("a", 3)
		w.start()
		w.hung[3] = true
		w.mark(t.Context(), 7, at("a", 0))
		time.Sleep(sendPatience + 25*time.Millisecond)
		w.told("0ms to 3: 7 a[0]", "10020ms to 3: 7 a[0]")
		w.end()
		w.told("10025ms done 7: 0 written, marker in a-0: this broker is stopping: " + kerr.BrokerNotAvailable.Error())
	})
}

// TestBrokenConnection: it is tried less and less often.
func TestBrokenConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.topic("a", 2)
		w.start()
		w.broken[2] = errors.New("connection refused")
		w.mark(t.Context(), 7, at("a", 0))
		time.Sleep(3500 * time.Millisecond)
		var want []string
		for _, ms := range []int{0, 20, 60, 140, 300, 620, 1260, 2260, 3260} {
			want = append(want, fmt.Sprintf("%dms to 2: 7 a[0]", ms))
		}
		w.told(want...)
		w.mu.Lock()
		delete(w.broken, 2)
		w.mu.Unlock()
		time.Sleep(time.Second)
		w.told("4260ms to 2: 7 a[0]", "4261ms done 7: 1 written, <nil>")
		w.end()
	})
}

// TestWhatSettles: what a partition's leader says lets a marker be tried again, or is
// final, here and elsewhere.
func TestWhatSettles(t *testing.T) {
	const again = "again"
	for _, c := range []struct {
		err     error
		version int16
		want    string
	}{
		{nil, 2, "written"},
		{kerr.InvalidProducerEpoch, 2, "written"},
		{kerr.InvalidProducerEpoch, 0, "refused"},
		{kerr.TransactionCoordinatorFenced, 2, "refused"},
		{kerr.KafkaStorageError, 2, "refused"},
		{kerr.UnknownServerError, 2, "refused"},
		{kerr.ClusterAuthorizationFailed, 2, "refused"},
		{kerr.UnknownTopicOrPartition, 2, again},
		{kerr.NotLeaderForPartition, 2, again},
		{kerr.NotCoordinator, 2, again},
		{kerr.CoordinatorLoadInProgress, 2, again},
		{kerr.CoordinatorNotAvailable, 2, again},
		{kerr.NotEnoughReplicas, 2, again},
		{kerr.NotEnoughReplicasAfterAppend, 2, again},
		{kerr.RequestTimedOut, 2, again},
	} {
		for _, leads := range []int32{node, 2} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 0)
				w.topic("a", leads)
				w.start()
				defer w.end()
				w.answers[leads] = func() error { return c.err }
				got := again
				w.WriteMarkers(t.Context(), step.Marker{Version: c.version}, []protocol.TopicPartition{at("a", 0)}, func(written []protocol.TopicPartition, err error) {
					switch {
					case errors.Is(err, errStopped):
					case err == nil && len(written) == 1:
						got = "written"
					case errors.Is(err, c.err) && len(written) == 0:
						got = "refused"
					default:
						t.Errorf("%d written, %v", len(written), err)
					}
				})
				time.Sleep(time.Minute)
				synctest.Wait()
				if got != c.want {
					t.Errorf("%v, transaction.version %d, led by %d: %s, want %s", c.err, c.version, leads, got, c.want)
				}
			})
		}
	}
}

// TestDeletedTopic: a marker for it need not be written. A topic that this node does
// not know yet is waited for.
func TestDeletedTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3*time.Second)
		w.topic("a", 2)
		w.start()
		w.mark(t.Context(), 7, at("gone", 0))
		w.mark(t.Context(), 8, at("new", 0))
		time.Sleep(time.Second)
		w.told()
		w.topic("new", 1)
		w.told("1000ms here: 8 new-0", "1000ms done 8: 1 written, <nil>")
		time.Sleep(3 * time.Second)
		w.told("3260ms done 7: 1 written, <nil>")

		w.answers[2] = func() error { return kerr.UnknownTopicOrPartition }
		w.mark(t.Context(), 9, at("a", 0))
		w.decide(&metadata.TopicDeleted{TopicID: w.id["a"]})
		time.Sleep(5 * time.Second)
		w.told("4000ms to 2: 9 a[0]", "7261ms done 9: 1 written, <nil>")
		w.end()
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.mark(t.Context(), 7, at("gone", 0))
		w.told("0ms done 7: 1 written, <nil>") // who is alone knows all
	})
}

// TestTermEnds: what a coordinator wanted that leads no more is not tried on, nor is
// anything once Run has ended.
func TestTermEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.topic("a", 2, 1)
		w.start()
		w.broken[2] = errors.New("connection refused")
		term, over := context.WithCancel(t.Context())
		w.mark(term, 7, at("a", 0), at("a", 1))
		time.Sleep(30 * time.Millisecond)
		over()
		time.Sleep(time.Second)
		w.told("0ms here: 7 a-1", "0ms to 2: 7 a[0]", "20ms to 2: 7 a[0]",
			"60ms done 7: 1 written, marker in a-0: another coordinator brings it: "+kerr.NotCoordinator.Error())
		w.mark(t.Context(), 8, at("a", 0))
		w.told("1030ms to 2: 8 a[0]")
		w.end()
		stopping := "0 written, marker in a-0: this broker is stopping: " + kerr.BrokerNotAvailable.Error()
		w.told("1030ms done 8: " + stopping)
		w.mark(t.Context(), 9, at("a", 0))
		w.told("1030ms done 9: " + stopping)
	})
}

// TestBeforeRun: decisions of before are carried out while the node starts.
func TestBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.topic("a", 1, 2, -1)
		w.mark(t.Context(), 7, at("a", 0), at("a", 1), at("a", 2))
		time.Sleep(time.Second)
		w.told("0ms here: 7 a-0")
		w.start()
		time.Sleep(time.Second)
		w.told("1000ms to 2: 7 a[1]")
		w.move("a", 2, 2)
		time.Sleep(time.Second)
		w.told("2000ms to 2: 7 a[2]", "2001ms done 7: 3 written, <nil>")
		w.end()
	})
}

// TestAnsweredOnce: whatever happens, and however much at once.
func TestAnsweredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		const transactions = 3000
		w.topic("a", 1, 2, 3, 2, 3, -1)
		w.start()
		turn := 0
		w.answers[2] = func() error {
			if turn++; turn%3 == 0 {
				return kerr.NotLeaderForPartition
			}
			return nil
		}
		answers := make(chan int, 2*transactions)
		for i := range transactions {
			go w.WriteMarkers(t.Context(), step.Marker{ProducerID: int64(i), Version: 2}, []protocol.TopicPartition{at("a", int32(i%6)), at("a", int32(i/6%6))},
				func([]protocol.TopicPartition, error) { answers <- i })
		}
		for i := range 20 {
			time.Sleep(time.Duration(i) * time.Millisecond)
			w.move("a", int32(i%6), int32(1+i%3))
		}
		w.end()
		synctest.Wait()
		close(answers)
		times := map[int]int{}
		for i := range answers {
			times[i]++
		}
		for i := range transactions {
			if times[i] != 1 {
				t.Fatalf("transaction %d was answered %d times", i, times[i])
			}
		}
	})
}
