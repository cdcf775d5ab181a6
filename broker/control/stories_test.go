package control

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
)

// TestStories tells what happens, a line each, and prints what broker 1 sends, when,
// and what it makes of the answers:
//
//	run | stop                    begins and ends the conversation
//	wait DURATION                 time passes
//	lead ID                       node ID becomes the active controller, -1: none is known
//	elect ID                      the same, but this node does not know of it
//	mode ID silent|refused|lost|well   how a node answers: never; not at all; lost on the way back;
//	                              registrations it answers other-cluster, copied-dir, too-old, busy
//	lag DURATION|endless          how far this node is behind the metadata
//	skip                          it gets a snapshot of the newest
//	others ID ... | read ID       active brokers; one says that it has read everything
//	double                        another process with the id 1 takes part
//	fence ID | unregister ID
//	topic NAME PARTITIONS B/B     led by broker 1 with that ISR
//	isr NAME P B/B                broker 1 proposes an ISR
//	delete NAME
//	ids | create TOPIC | shutdown      [within=DURATION]
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
				for line := range strings.Lines(d.Input) {
					w.tell(strings.Fields(line))
				}
				synctest.Wait()
				return w.told()
			})
			if w.stop != nil {
				w.stop()
			}
			w.tasks.Wait()
		})
	})
}

func (w *world) tell(words []string) {
	word := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	switch words[0] {
	case "run":
		w.start()
	case "stop":
		w.stop()
	case "wait":
		time.Sleep(span(w.t, word(1)))
	case "lead":
		w.lead(number(w.t, word(1)))
	case "elect":
		w.elect(number(w.t, word(1)))
	case "skip":
		w.skip()
	case "mode":
		w.mu.Lock()
		w.modes[number(w.t, word(1))] = word(2)
		w.mu.Unlock()
	case "lag":
		if word(1) == "endless" {
			w.resume(-1)
			return
		}
		w.resume(span(w.t, word(1)))
	default:
		w.happen(words, word)
	}
	synctest.Wait()
}

// happen tells what others do, or what this broker wants.
func (w *world) happen(words []string, word func(int) string) {
	switch words[0] {
	case "others":
		for _, id := range words[1:] {
			w.others(number(w.t, id))
		}
	case "read":
		w.mu.Lock()
		b, _ := w.image.Broker(number(w.t, word(1)))
		w.liveness.Heard(b.ID, b.Epoch, w.offset, time.Now())
		w.mu.Unlock()
	case "double":
		w.double()
	case "fence":
		w.mu.Lock()
		records, _ := (&controller.Controller{}).FenceBroker(w.image, number(w.t, word(1)), w.inputs)
		w.decide(records...)
		w.mu.Unlock()
	case "unregister":
		w.mu.Lock()
		records, _ := (&controller.Controller{}).UnregisterBroker(w.image, &kmsg.UnregisterBrokerRequest{BrokerID: number(w.t, word(1))}, w.inputs)
		w.decide(records...)
		w.mu.Unlock()
	case "topic":
		w.topic(word(1), int(number(w.t, word(2))), numbers(w.t, word(3)))
	case "delete":
		topic, _ := w.Image().Topic(word(1))
		w.decideNow(&metadata.TopicDeleted{TopicID: topic.ID})
	case "isr":
		w.propose(word(1), number(w.t, word(2)), numbers(w.t, word(3)))
	default:
		w.want(words, word)
	}
	synctest.Wait()
}

func (w *world) want(words []string, word func(int) string) {
	limit := time.Hour
	if within, limited := strings.CutPrefix(words[len(words)-1], "within="); limited {
		limit = span(w.t, within)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	switch words[0] {
	case "ids":
		w.tasks.Go(func() {
			defer cancel()
			first, end, err := w.TakeProducerIDs(ctx)
			w.note("producer ids: %d to %d, %v", first, end, err)
		})
	case "create":
		w.tasks.Go(func() {
			defer cancel()
			w.create(ctx, word(1))
		})
	case "shutdown":
		w.tasks.Go(func() {
			defer cancel()
			w.note("shut down: %v", w.ShutDown(ctx))
		})
	default:
		w.t.Fatalf("no command %s", words[0])
	}
}

func (w *world) create(ctx context.Context, name string) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 4
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, 1, 1
	req.Topics = append(req.Topics, t)
	resp, err := w.Ask(ctx, req)
	if err != nil {
		w.note("create %s: %v", name, err)
		return
	}
	_, known := w.Image().Topic(name)
	w.note("create %s: error %d, known here: %v", name, resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode, known)
}

// double lets another process take part under this broker's id.
func (w *world) double() {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := metadata.Broker{ID: self, Epoch: w.image.LastBrokerEpoch() + 1, Incarnation: [16]byte{0xff}}
	b.LogDirs = [][16]byte{{0xd1, 1}}
	w.decide(&metadata.BrokerRegistered{Broker: b})
	w.liveness.Registered(self, b.Epoch, w.offset, time.Now())
}

func span(t *testing.T, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func number(t *testing.T, text string) int32 {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return int32(n)
}

func numbers(t *testing.T, text string) (all []int32) {
	for one := range strings.SplitSeq(text, "/") {
		all = append(all, number(t, one))
	}
	return all
}
