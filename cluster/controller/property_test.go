package controller

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/cluster/decommission"
	"github.com/klamm-io/klamm/cluster/metadata"
)

// TestClusterKeepsWhatItAcknowledged runs a cluster through whatever may happen to it
// and keeps account of which replica holds how many acknowledged records.
func TestClusterKeepsWhatItAcknowledged(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		m := &model{t: t, cluster: newCluster(outer), outer: outer, acked: map[place]int{}, held: map[holding]int{}, starts: map[int32]byte{}}
		m.img = metadata.Empty()
		m.decide([]metadata.Record{&metadata.ClusterNamed{ClusterID: "klamm"}})
		for id := int32(1); id <= 4; id++ {
			m.start(id)
			m.heartbeat(id, false, false)
		}
		m.createTopics()
		t.Repeat(map[string]func(*rapid.T){
			"":      func(*rapid.T) { m.check() },
			"write": func(*rapid.T) { m.write() },
			"start": func(*rapid.T) { m.start(m.broker()) },
			"heartbeat": func(*rapid.T) {
				m.heartbeat(m.broker(), rapid.Bool().Draw(t, "fence"), rapid.Bool().Draw(t, "shut down"))
			},
			"come up":      func(*rapid.T) { m.heartbeat(m.broker(), false, false) },
			"fence":        func(*rapid.T) { m.fence(m.broker()) },
			"isr":          func(*rapid.T) { m.alterISR() },
			"catch up":     func(*rapid.T) { m.catchUp() },
			"move":         func(*rapid.T) { m.move() },
			"elect":        func(*rapid.T) { m.elect(0) },
			"elect dirty":  func(*rapid.T) { m.elect(1) },
			"balance":      func(*rapid.T) { m.balance() },
			"config":       func(*rapid.T) { m.config() },
			"fail log dir": func(*rapid.T) { m.assignDir([16]byte{9}) },
			"damage":       func(*rapid.T) { m.damage() },
			"mend":         func(*rapid.T) { m.assignDir([16]byte{}) },
			"unregister":   func(*rapid.T) { m.unregister(m.broker()) },
			"leave":        func(*rapid.T) { m.leave(m.broker()) },
		})
	})
}

type holding struct {
	place
	broker int32
}

// model knows what the controller does not: what is in the logs.
type model struct {
	*cluster
	t      *rapid.T
	outer  *testing.T
	acked  map[place]int   // records of a partition that were acknowledged
	held   map[holding]int // of them, those that a replica has
	starts map[int32]byte
}

func (m *model) broker() int32 { return rapid.Int32Range(1, 5).Draw(m.t, "broker") }

// decide applies records as bytes, and as they are, and holds the partitions before
// against those after.
func (m *model) decide(records []metadata.Record) {
	read, err := metadata.DecodeDecision(metadata.EncodeDecision(nil, records))
	if err != nil {
		m.t.Fatal(err)
	}
	before := m.img
	plain, _, err := before.Apply(records)
	if err != nil {
		m.t.Fatal(err)
	}
	m.apply(m.outer, read)
	if !reflect.DeepEqual(snapshot(plain), snapshot(m.img)) {
		m.t.Fatalf("replayed: %q, want %q", snapshot(m.img), snapshot(plain))
	}
	for t := range before.Topics() {
		after, _ := m.img.TopicByID(t.ID)
		for i := range t.Partitions {
			m.requireGrowth(&t.Partitions[i], &after.Partitions[i])
		}
	}
	m.account()
}

func snapshot(img *metadata.Image) []byte {
	var all []byte
	for r := range img.Records() {
		all = metadata.Encode(all, r)
	}
	return all
}

func (m *model) requireGrowth(was, is *metadata.Partition) {
	same := *is
	same.LeaderEpoch, same.PartitionEpoch = was.LeaderEpoch, was.PartitionEpoch
	switch {
	case is.Equal(was):
	case same.Equal(was) && is.LeaderEpoch == was.LeaderEpoch || is.PartitionEpoch <= was.PartitionEpoch || is.LeaderEpoch < was.LeaderEpoch:
		m.t.Fatalf("from %+v to %+v: the partition epoch does not count changes", was, is)
	case is.Leader != was.Leader && is.LeaderEpoch <= was.LeaderEpoch:
		m.t.Fatalf("from %+v to %+v: the leader epoch does not count leaders", was, is)
	}
}

// account follows the leaders: a replica that leads decides what the partition holds.
// Only a leader that says so (Recovering) may lack what was acknowledged.
func (m *model) account() {
	for t := range m.img.Topics() {
		for i := range t.Partitions {
			at, p := place{t.ID, int32(i)}, &t.Partitions[i]
			for h := range m.held {
				if h.place == at && !slices.Contains(p.Replicas, h.broker) {
					delete(m.held, h)
				}
			}
			for _, id := range slices.Concat(p.ISR, p.ELR()) {
				if has := m.held[holding{at, id}]; has < m.acked[at] && !p.Recovering {
					m.t.Fatalf("%s-%d %s: broker %d has %d of %d acknowledged records", t.Name, i, describe(p), id, has, m.acked[at])
				}
			}
			if p.Leader >= 0 && p.Recovering {
				m.acked[at] = m.held[holding{at, p.Leader}] // the loss is known
				m.held[holding{at, p.Leader}] = m.acked[at]
			}
		}
	}
}

func describe(p *metadata.Partition) string { return fmt.Sprintf("%+v %+v", *p, p.State()) }

// check holds the invariants.
func (m *model) check() {
	book := newRulebook(m.img, m.in)
	for t := range m.img.Topics() {
		for i := range t.Partitions {
			p := &t.Partitions[i]
			distinct := slices.Compact(slices.Sorted(slices.Values(slices.Concat(p.ISR, p.ELR()))))
			ok := (p.Leader < 0) == (len(p.ISR) == 0) && (p.Leader < 0 || slices.Contains(p.ISR, p.Leader)) &&
				len(distinct) == len(p.ISR)+len(p.ELR()) && containsAll(p.Replicas, distinct) &&
				containsAll(p.Replicas, p.Adding()) && containsAll(p.Replicas, p.Removing()) &&
				len(within(p.ISR, p.Offline())) == 0 && !slices.ContainsFunc(p.ISR, func(id int32) bool { return !m.img.Active(id) }) &&
				(len(p.ELR()) == 0 || len(p.ISR) < p.MinISR(book.of(t.Name).minISR)) && (p.Leader < 0 || len(p.LastKnownELR()) == 0)
			if !ok {
				m.t.Fatalf("%s-%d: %s", t.Name, i, describe(p))
			}
		}
	}
}

func (m *model) createTopics() {
	req := kmsg.NewPtrCreateTopicsRequest()
	for _, name := range []string{"a", "b", "c"} {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 2, rapid.Int16Range(1, 4).Draw(m.t, "replication factor")
		switch name {
		case "b":
			topic.Configs = configList("unclean.leader.election.enable", "true")
		case "c":
			topic.Configs = configList("flush.messages", "100")
		}
		req.Topics = append(req.Topics, topic)
	}
	records, _ := (&Controller{}).CreateTopics(m.img, req, m.in)
	m.decide(records)
}

func (m *model) partition() (*metadata.Topic, int32, *metadata.Partition) {
	t, _ := m.img.Topic(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(m.t, "topic"))
	i := rapid.Int32Range(0, 1).Draw(m.t, "partition")
	return t, i, &t.Partitions[i]
}

// write acknowledges records where the leader may.
func (m *model) write() {
	book := newRulebook(m.img, m.in)
	for t := range m.img.Topics() {
		for i := range t.Partitions {
			p, at := &t.Partitions[i], place{t.ID, int32(i)}
			if p.Leader < 0 || len(p.ISR) < p.MinISR(book.of(t.Name).minISR) {
				continue
			}
			m.acked[at]++
			for _, id := range p.ISR {
				m.held[holding{at, id}] = m.acked[at]
			}
		}
	}
}

// start registers a new process. It may have crashed, and may have lost its disk or
// what it had not flushed.
func (m *model) start(id int32) {
	req := kmsg.NewPtrBrokerRegistrationRequest()
	m.starts[id]++
	req.BrokerID, req.ClusterID, req.IncarnationID = id, "klamm", [16]byte{byte(id), m.starts[id]}
	known, found := m.img.Broker(id)
	empty, crashed := rapid.IntRange(0, 3).Draw(m.t, "lost disk") == 0, rapid.Bool().Draw(m.t, "crashed")
	req.LogDirs = [][16]byte{{byte(id), 1}, {byte(id), 2}}
	if found {
		req.LogDirs = slices.Concat(known.LogDirs, known.OfflineLogDirs)
		if req.PreviousBrokerEpoch = known.Epoch; crashed {
			req.PreviousBrokerEpoch = -1
		}
		if empty {
			req.LogDirs[0] = [16]byte{byte(id), 3, m.starts[id]}
		}
	}
	for h := range m.held {
		t, _ := m.img.TopicByID(h.topic)
		switch {
		case h.broker != id:
		case empty || !found:
			m.held[h] = 0
		case crashed && newRulebook(m.img, m.in).of(t.Name).lenient:
			m.held[h] = m.held[h] / 2
		}
	}
	records, _, err := (&Controller{}).RegisterBroker(m.img, req, false, m.in)
	if err != nil {
		m.t.Fatal(err)
	}
	m.decide(records)
}

func (m *model) heartbeat(id int32, wantFence, wantShutdown bool) {
	b, found := m.img.Broker(id)
	if !found {
		return
	}
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.BrokerID, req.BrokerEpoch, req.WantFence, req.WantShutdown = id, b.Epoch, wantFence, wantShutdown
	records, resp := (&Controller{}).Heartbeat(m.img, req, Progress{}, m.in)
	m.decide(records)
	if after, _ := m.img.Broker(id); resp.ErrorCode != 0 || after.Fenced != resp.IsFenced {
		m.t.Fatalf("answered %+v, is %+v", resp, after)
	}
}

func (m *model) fence(id int32) {
	records, _ := (&Controller{}).FenceBroker(m.img, id, m.in)
	m.decide(records)
}

func (m *model) unregister(id int32) {
	records, _ := (&Controller{}).UnregisterBroker(m.img, &kmsg.UnregisterBrokerRequest{BrokerID: id}, m.in)
	for h := range m.held {
		if h.broker == id {
			m.held[h] = 0
		}
	}
	m.decide(records)
}

// catchUp lets a follower have what the leader has, and the leader report it.
func (m *model) catchUp() {
	t, i, p := m.partition()
	if p.Leader < 0 {
		return
	}
	m.report(t, i, append(slices.Clone(p.ISR), without(p.Replicas, p.ISR)...))
}

// alterISR reports any ISR whatever.
func (m *model) alterISR() {
	t, i, p := m.partition()
	if p.Leader >= 0 {
		m.report(t, i, rapid.SliceOfNDistinct(rapid.Int32Range(1, 5), 0, 5, rapid.ID).Draw(m.t, "isr"))
	}
}

func (m *model) report(t *metadata.Topic, index int32, isr []int32) {
	p := &t.Partitions[index]
	leader, _ := m.img.Broker(p.Leader)
	wanted := kmsg.NewAlterPartitionRequestTopicPartition()
	wanted.Partition, wanted.LeaderEpoch, wanted.PartitionEpoch = index, p.LeaderEpoch, p.PartitionEpoch
	for _, id := range isr {
		wanted.NewEpochISR = append(wanted.NewEpochISR, kmsg.AlterPartitionRequestTopicPartitionNewEpochISR{BrokerID: id, BrokerEpoch: -1})
		if slices.Contains(p.Replicas, id) {
			at := place{t.ID, index}
			m.held[holding{at, id}] = max(m.held[holding{at, id}], m.held[holding{at, p.Leader}])
		}
	}
	req := kmsg.NewPtrAlterPartitionRequest()
	req.Version, req.BrokerID, req.BrokerEpoch = 3, p.Leader, leader.Epoch
	req.Topics = []kmsg.AlterPartitionRequestTopic{{TopicID: t.ID, Partitions: []kmsg.AlterPartitionRequestTopicPartition{wanted}}}
	records, _ := (&Controller{}).AlterPartition(m.img, req, m.in)
	m.decide(records)
}

func (m *model) move() {
	t, i, _ := m.partition()
	wanted := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	wanted.Partition = i
	if !rapid.Bool().Draw(m.t, "cancel") {
		wanted.Replicas = rapid.SliceOfNDistinct(rapid.Int32Range(1, 5), 1, 4, rapid.ID).Draw(m.t, "target")
	}
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: t.Name, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{wanted}}}
	records, _ := (&Controller{}).AlterPartitionReassignments(m.img, req, m.in)
	m.decide(records)
}

func (m *model) leave(id int32) {
	req := requestOf(decommission.Make(factsOf(m.img), []int32{id}, 2))
	records, resp := (&Controller{}).AlterPartitionReassignments(m.img, req, m.in)
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				m.t.Fatalf("the plan %+v is refused: %+v", req, p)
			}
		}
	}
	m.decide(records)
}

func (m *model) elect(kind int8) {
	req := kmsg.NewPtrElectLeadersRequest()
	req.Version, req.ElectionType = 2, kind
	records, _ := (&Controller{}).ElectLeaders(m.img, req, m.in)
	m.decide(records)
}

func (m *model) balance() {
	records, _ := (&Controller{}).BalanceLeaders(m.img, (&Controller{}).Imbalanced(m.img, 0), m.in)
	m.decide(records)
	for t := range m.img.Topics() {
		for i := range t.Partitions {
			if imbalanced(m.img, &t.Partitions[i]) {
				m.t.Fatalf("not led by the preferred leader: %s", describe(&t.Partitions[i]))
			}
		}
	}
}

func (m *model) config() {
	name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(m.t, "topic")
	key := fmt.Sprintf("min.insync.replicas=%d", rapid.IntRange(1, 4).Draw(m.t, "min.insync.replicas"))
	req := incrementalRequest(m.outer, [][]string{{"topic", name, key}}, false)
	records, _ := (&Controller{}).IncrementalAlterConfigs(m.img, req.(*kmsg.IncrementalAlterConfigsRequest), m.in)
	m.decide(records)
}

// assignDir says in which log dir a partition lies on a broker; the zero id stands for
// one that works.
func (m *model) assignDir(dir [16]byte) {
	t, i, p := m.partition()
	m.tellDir(t, i, rapid.SampledFrom(p.Replicas).Draw(m.t, "replica"), dir)
}

func (m *model) tellDir(t *metadata.Topic, i, id int32, dir [16]byte) (done bool) {
	b, found := m.img.Broker(id)
	if !found || b.Fenced || dir == [16]byte{} && len(b.LogDirs) == 0 {
		return false
	}
	if dir == [16]byte{} {
		dir = b.LogDirs[0]
	}
	req := kmsg.NewPtrAssignReplicasToDirsRequest()
	req.BrokerID, req.BrokerEpoch = id, b.Epoch
	req.Directories = []kmsg.AssignReplicasToDirsRequestDirectory{{ID: dir, Topics: []kmsg.AssignReplicasToDirsRequestDirectoryTopic{
		{TopicID: t.ID, Partitions: []kmsg.AssignReplicasToDirsRequestDirectoryTopicPartition{{Partition: i}}}}}}
	records, resp := (&Controller{}).AssignReplicasToDirs(m.img, req, m.in)
	m.decide(records)
	return resp.Directories[0].Topics[0].Partitions[0].ErrorCode == 0
}

// damage finds a replica damaged. Where the controller lets it go, it takes back what
// it held from some place on: so nothing may rely on it, and no fetch of before may
// count, which the leader epoch tells.
func (m *model) damage() {
	t, i, p := m.partition()
	id, before := rapid.SampledFrom(p.Replicas).Draw(m.t, "replica"), p.LeaderEpoch
	if !m.tellDir(t, i, id, DamagedDir) {
		return
	}
	if t, _ := m.img.Topic(t.Name); t.Partitions[i].LeaderEpoch == before {
		m.t.Fatalf("no leader epoch began: %s", describe(&t.Partitions[i]))
	}
	at := holding{place{t.ID, i}, id}
	m.held[at] = rapid.IntRange(0, m.held[at]).Draw(m.t, "held")
}
