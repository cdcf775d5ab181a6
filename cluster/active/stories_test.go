package active

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// TestStories tells what happens, a line each, and prints what was decided, and when:
//
//	elect ID                 node ID leads the quorum, 100 is the one that is tested
//	start ID ...             processes begin, register and send heartbeats
//	kill ID ... | pause ID | resume ID | shutdown ID    what happens to them
//	kill-former ID           of two processes with that id, the one that was first
//	cut ID [reached]         the connection to a broker breaks, and is made again
//	vote ID ...              brokers that vote
//	wait DURATION
//	topic NAME B/B,B/B
//	isr NAME B/B ...         the leaders of partitions 0, 1… report their ISR, at once
//	preferred NAME P | move NAME P B/B | moves | unregister ID | ids ID | failed ID NAME P
//	set KEY=VALUE            a config of all brokers
//	feature NAME LEVEL       raises it
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Config{Rebalance: true, ImbalancePercent: 10})
			defer w.end()
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
				for line := range strings.Lines(d.Input) {
					w.tell(strings.Fields(line))
					synctest.Wait()
				}
				return w.told()
			})
		})
	})
}

func (w *world) tell(words []string) {
	var ids []int32
	for _, word := range words[1:] {
		if n, err := strconv.ParseInt(word, 10, 32); err == nil {
			ids = append(ids, int32(n))
		}
	}
	switch words[0] {
	case "elect":
		w.quorum.elect(ids[0])
	case "start":
		for _, id := range ids {
			w.start(id)
			time.Sleep(50 * time.Millisecond)
		}
	case "kill":
		for _, id := range ids {
			w.broker(id).kill()
		}
		time.Sleep(time.Millisecond)
		for _, id := range ids {
			w.dial(id)
		}
	case "kill-former":
		w.broker(ids[0]).former.kill()
	case "pause", "resume":
		b := w.broker(ids[0])
		b.set(&b.paused, words[0] == "pause")
	case "shutdown":
		b := w.broker(ids[0])
		b.set(&b.shutDown, true)
	case "cut":
		w.Suspect(ids[0], false)
		if slices.Contains(words, "reached") {
			time.Sleep(100 * time.Millisecond)
			w.Reached(ids[0])
		}
	case "vote":
		for _, id := range ids {
			w.quorum.apply([]metadata.Record{&metadata.VoterAdded{Voter: metadata.Voter{ID: id}}})
		}
	case "wait":
		span, err := time.ParseDuration(words[1])
		if err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(span)
	default:
		w.ask(words, ids)
	}
}

// ask sends a request.
func (w *world) ask(words []string, ids []int32) {
	switch words[0] {
	case "topic":
		w.topic(words[1], words[2])
	case "isr":
		w.reportISRs(words[1], words[2:])
	case "preferred":
		req := kmsg.NewPtrElectLeadersRequest()
		req.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: words[1], Partitions: ids}}
		resp := w.ElectLeaders(w.ctx, req)
		w.say("elected: %d %+v", resp.ErrorCode, resp.Topics)
	case "move":
		req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		p := kmsg.AlterPartitionAssignmentsRequestTopicPartition{Partition: ids[0], Replicas: w.list(words[3])}
		req.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: words[1], Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{p}}}
		resp := w.AlterPartitionReassignments(w.ctx, req)
		w.say("moved: %d %+v", resp.ErrorCode, resp.Topics)
	case "moves":
		resp := w.ListPartitionReassignments(w.ctx, kmsg.NewPtrListPartitionReassignmentsRequest())
		w.say("moving: %d %+v", resp.ErrorCode, resp.Topics)
	case "unregister":
		resp := w.UnregisterBroker(w.ctx, &kmsg.UnregisterBrokerRequest{BrokerID: ids[0]})
		w.say("unregistered: %d", resp.ErrorCode)
	case "ids":
		b, _ := w.quorum.Image().Broker(ids[0])
		resp := w.AllocateProducerIDs(w.ctx, &kmsg.AllocateProducerIDsRequest{BrokerID: ids[0], BrokerEpoch: b.Epoch})
		w.say("producer ids from %d, %d of them, error %d", resp.ProducerIDStart, resp.ProducerIDLen, resp.ErrorCode)
	case "feature":
		req := kmsg.NewPtrUpdateFeaturesRequest()
		req.Version = 2
		req.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: words[1], MaxVersionLevel: int16(ids[0]), UpgradeType: 1}}
		w.say("updated: %d", w.UpdateFeatures(w.ctx, req).ErrorCode)
	case "failed":
		w.dirFailed(ids[0], words[2], ids[1])
	case "set":
		key, value, _ := strings.Cut(words[1], "=")
		w.propose(func(*metadata.Image) []metadata.Record {
			return []metadata.Record{&metadata.ConfigSet{Resource: metadata.BrokerResource(""), Name: key, Value: &value}}
		})
	default:
		w.t.Fatalf("no command %s", words[0])
	}
}

// propose decides as a client's request that does not pass through the controller.
func (w *world) propose(decide func(*metadata.Image) []metadata.Record) {
	_, _, err := w.quorum.ProposeAt(w.ctx, func(img *metadata.Image) ([]metadata.Record, error) { return decide(img), nil })
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) topic(name, partitions string) {
	req := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, -1, -1
	for i, replicas := range strings.Split(partitions, ",") {
		topic.ReplicaAssignment = append(topic.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(i), Replicas: w.list(replicas)})
	}
	req.Topics = append(req.Topics, topic)
	w.propose(func(img *metadata.Image) []metadata.Record {
		records, _ := w.controller.CreateTopics(img, req, w.inputs)
		return records
	})
}

func (w *world) list(text string) (ids []int32) {
	for word := range strings.SplitSeq(text, "/") {
		n, err := strconv.ParseInt(word, 10, 32)
		if err != nil {
			w.t.Fatal(err)
		}
		ids = append(ids, int32(n))
	}
	return ids
}

// reportISRs sends a request for each partition at the same time.
func (w *world) reportISRs(topic string, isrs []string) {
	before := w.rounds()
	codes := make([]int16, len(isrs))
	var tasks sync.WaitGroup
	for i, isr := range isrs {
		tasks.Go(func() {
			resp := w.AlterPartition(w.ctx, w.alterPartition(topic, int32(i), w.list(isr)))
			codes[i] = resp.ErrorCode
			if len(resp.Topics) > 0 {
				codes[i] = resp.Topics[0].Partitions[0].ErrorCode
			}
		})
		if i == 0 {
			synctest.Wait() // the first is decided meanwhile
		}
	}
	tasks.Wait()
	w.say("errors %v, %d rounds", codes, w.rounds()-before)
}

func (w *world) rounds() int {
	w.quorum.mu.Lock()
	defer w.quorum.mu.Unlock()
	return w.quorum.rounds
}

// alterPartition is what a partition's leader asks for.
func (w *world) alterPartition(topic string, index int32, isr []int32) *kmsg.AlterPartitionRequest {
	t, _ := w.quorum.Image().Topic(topic)
	p := t.Partitions[index]
	req := kmsg.NewPtrAlterPartitionRequest()
	req.Version, req.BrokerID = 3, p.Leader
	if b, found := w.quorum.Image().Broker(p.Leader); found {
		req.BrokerEpoch = b.Epoch
	}
	wanted := kmsg.NewAlterPartitionRequestTopicPartition()
	wanted.Partition, wanted.LeaderEpoch, wanted.PartitionEpoch = index, p.LeaderEpoch, p.PartitionEpoch
	for _, id := range isr {
		wanted.NewEpochISR = append(wanted.NewEpochISR, kmsg.AlterPartitionRequestTopicPartitionNewEpochISR{BrokerID: id, BrokerEpoch: -1})
	}
	req.Topics = []kmsg.AlterPartitionRequestTopic{{TopicID: t.ID, Partitions: []kmsg.AlterPartitionRequestTopicPartition{wanted}}}
	return req
}

// dirFailed says that the log dir is gone in which a broker keeps a partition.
func (w *world) dirFailed(id int32, topic string, partition int32) {
	b, _ := w.quorum.Image().Broker(id)
	t, _ := w.quorum.Image().Topic(topic)
	req := kmsg.NewPtrAssignReplicasToDirsRequest()
	req.BrokerID, req.BrokerEpoch = id, b.Epoch
	req.Directories = []kmsg.AssignReplicasToDirsRequestDirectory{{ID: [16]byte{1: 99}, Topics: []kmsg.AssignReplicasToDirsRequestDirectoryTopic{
		{TopicID: t.ID, Partitions: []kmsg.AssignReplicasToDirsRequestDirectoryTopicPartition{{Partition: partition}}}}}}
	w.say("heard of the log dir: %d", w.AssignReplicasToDirs(w.ctx, req).ErrorCode)
}
