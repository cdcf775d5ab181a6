package controller

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/decommission"
	"github.com/klamm-io/klamm/cluster/health"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
)

// TestStories tells what happens to a cluster, a line each, and prints what the
// controller answered and what changed:
//
//	register ID [incarnation=N] [rack=R] [dirs=N/N] [previous=EPOCH]
//	heartbeat ID [behind] [want=fence|shutdown] [failed=DIR] [cordon] [epoch=N]
//	start ID ...                  registers and unfences
//	broken ID | wait DURATION     a connection breaks; time passes, and who is overdue is fenced
//	topic NAME B/B,B/B [KEY=VALUE ...]     or topic NAME partitions=N rf=N
//	isr NAME P B/B [by=ID] [leader-epoch=N] [epoch=N] [broker-epoch=N] [recovering]
//	elect preferred|unclean NAME P | balance | leaderless
//	move NAME P B/B | cancel NAME P | moves
//	lies ID DIR|damaged NAME P | unregister ID | set NAME KEY=VALUE ("-" for all brokers)
//	leave ID/ID moves=N           plans and begins a decommission
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := newStory(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.out.Reset()
			if d.Cmd == "cluster" {
				s.printAll()
				return s.out.String()
			}
			for line := range strings.Lines(d.Input) {
				s.tell(strings.Fields(line))
			}
			if s.out.Len() == 0 {
				return "nothing changed\n"
			}
			return s.out.String()
		})
	})
}

type story struct {
	*cluster
	t        *testing.T
	liveness *Liveness
	now      time.Time
	offset   int64 // decisions so far
	out      strings.Builder
}

func newStory(t *testing.T) *story {
	c := newCluster(t)
	c.img = metadata.Empty()
	c.apply(t, []metadata.Record{&metadata.ClusterNamed{ClusterID: "klamm"}})
	s := &story{cluster: c, t: t, now: time.Unix(0, 0)}
	s.liveness = NewLiveness(9*time.Second, 500*time.Millisecond, c.img, 0, s.now)
	return s
}

// words are a line's arguments: those with a key and the others.
func words(line []string) (plain []string, keyed map[string]string) {
	keyed = map[string]string{}
	for _, word := range line {
		if key, value, found := strings.Cut(word, "="); found {
			keyed[key] = value
		} else {
			plain = append(plain, word)
			keyed[word] = "true"
		}
	}
	return plain, keyed
}

func (s *story) tell(line []string) {
	plain, keyed := words(line[1:])
	id := func() int32 { return number(s.t, plain[0]) }
	var c Controller
	switch line[0] {
	case "register":
		s.register(id(), keyed)
	case "heartbeat":
		s.heartbeat(id(), keyed)
	case "start":
		s.register(id(), keyed)
		s.heartbeat(id(), nil)
	case "broken":
		s.liveness.Suspect(id(), s.now)
	case "wait":
		s.wait(plain[0])
	case "topic":
		s.topic(line[1:], keyed)
	case "isr":
		s.alterISR(plain, keyed)
	case "elect":
		s.elect(plain)
	case "balance":
		records, _ := c.BalanceLeaders(s.img, c.Imbalanced(s.img, 0), s.in)
		s.decided(records)
	case "leaderless":
		records, _ := c.ElectLeaderless(s.img, s.in)
		s.decided(records)
	case "move", "cancel":
		s.move(plain)
	case "moves":
		s.printMoves()
	case "lies":
		s.lies(plain)
	case "unregister":
		records, resp := c.UnregisterBroker(s.img, &kmsg.UnregisterBrokerRequest{BrokerID: id()}, s.in)
		s.answered(resp.ErrorCode, resp.ErrorMessage)
		s.decided(records)
	case "set":
		s.set(plain[0], line[2:])
	case "leave":
		s.leave(numbers(s.t, plain[0]), keyed)
	default:
		s.t.Fatalf("no command %s", line[0])
	}
}

func (s *story) register(id int32, keyed map[string]string) {
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.BrokerID, req.ClusterID, req.PreviousBrokerEpoch = id, "klamm", -1
	if known, found := s.img.Broker(id); found {
		req.PreviousBrokerEpoch = known.Epoch // as after an orderly shutdown
	}
	req.IncarnationID = [16]byte{byte(id), 1}
	if n, set := keyed["incarnation"]; set {
		req.IncarnationID[1] = byte(number(s.t, n))
	}
	if rack, set := keyed["rack"]; set {
		req.Rack = &rack
	}
	if epoch, set := keyed["previous"]; set {
		req.PreviousBrokerEpoch = int64(number(s.t, epoch))
	}
	req.LogDirs = [][16]byte{dirID(id)}
	if dirs, set := keyed["dirs"]; set {
		req.LogDirs = nil
		for _, n := range numbers(s.t, dirs) {
			req.LogDirs = append(req.LogDirs, dirID(n))
		}
	}
	records, resp, why := (&Controller{}).RegisterBroker(s.img, req, s.liveness.Alive(s.img, id, s.now), s.in)
	if why != nil {
		text := why.Error()
		s.answered(resp.ErrorCode, &text)
	}
	s.decided(records)
	if resp.ErrorCode == 0 {
		s.liveness.Registered(id, resp.BrokerEpoch, s.offset, s.now)
	}
}

func dirID(n int32) [16]byte { return [16]byte{0: 0xd0, 15: byte(n)} }

func (s *story) heartbeat(id int32, keyed map[string]string) {
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.BrokerID, req.CurrentMetadataOffset = id, s.offset
	if b, found := s.img.Broker(id); found {
		req.BrokerEpoch = b.Epoch
	}
	if epoch, set := keyed["epoch"]; set {
		req.BrokerEpoch = int64(number(s.t, epoch))
	}
	if keyed["behind"] != "" {
		req.CurrentMetadataOffset = 0
	}
	req.WantFence, req.WantShutdown = keyed["want"] == "fence", keyed["want"] == "shutdown"
	if dir, set := keyed["failed"]; set {
		req.OfflineLogDirs = [][16]byte{dirID(number(s.t, dir))}
	}
	if b, found := s.img.Broker(id); found && keyed["cordon"] != "" {
		req.CordonedLogDirs = b.LogDirs
	}
	led := leads(s.img, id)
	records, resp := (&Controller{}).Heartbeat(s.img, req, s.liveness.Progress(s.img, id), s.in)
	s.answered(resp.ErrorCode, nil)
	if resp.ErrorCode != 0 {
		return
	}
	s.liveness.Heard(id, req.BrokerEpoch, req.CurrentMetadataOffset, s.now)
	if resp.ShouldShutdown {
		fmt.Fprintf(&s.out, "broker %d may shut down\n", id)
	}
	s.decided(records)
	if led && !leads(s.img, id) {
		s.liveness.Moved(id, s.offset)
	}
}

func (s *story) wait(text string) {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	s.now = s.now.Add(d)
	overdue, _ := s.liveness.Overdue(s.img, s.now)
	for _, id := range overdue {
		records, _ := (&Controller{}).FenceBroker(s.img, id, s.in)
		s.decided(records)
	}
}

func (s *story) topic(line []string, keyed map[string]string) {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = line[0], -1, -1
	for _, key := range slices.Sorted(maps.Keys(keyed)) {
		value := keyed[key]
		switch {
		case key == "partitions":
			topic.NumPartitions = number(s.t, value)
		case key == "rf":
			topic.ReplicationFactor = int16(number(s.t, value))
		case strings.Contains(key, "/") || key != line[0] && value == "true" && !strings.Contains(key, "."):
			for i, brokers := range strings.Split(key, ",") {
				topic.ReplicaAssignment = append(topic.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(i), Replicas: numbers(s.t, brokers)})
			}
		case key != line[0]:
			topic.Configs = append(topic.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: key, Value: &value})
		}
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, topic)
	records, resp := (&Controller{}).CreateTopics(s.img, req, s.in)
	s.answered(resp.Topics[0].ErrorCode, resp.Topics[0].ErrorMessage)
	s.decided(records)
}

func (s *story) find(words []string) (*metadata.Topic, int32, *metadata.Partition) {
	t, found := s.img.Topic(words[0])
	index := number(s.t, words[1])
	if !found || int(index) >= len(t.Partitions) {
		return &metadata.Topic{Name: words[0]}, index, &metadata.Partition{}
	}
	return t, index, &t.Partitions[index]
}

func (s *story) alterISR(plain []string, keyed map[string]string) {
	t, index, p := s.find(plain)
	req := kmsg.NewPtrAlterPartitionRequest()
	req.Version = 3
	override := func(key string, value int64) int64 {
		if text, set := keyed[key]; set {
			return int64(number(s.t, text))
		}
		return value
	}
	req.BrokerID = int32(override("by", int64(p.Leader)))
	if b, found := s.img.Broker(req.BrokerID); found {
		req.BrokerEpoch = b.Epoch
	}
	wanted := kmsg.NewAlterPartitionRequestTopicPartition()
	wanted.Partition = index
	wanted.LeaderEpoch, wanted.PartitionEpoch = int32(override("leader-epoch", int64(p.LeaderEpoch))), int32(override("epoch", int64(p.PartitionEpoch)))
	if keyed["recovering"] != "" {
		wanted.LeaderRecoveryState = 1
	}
	for _, id := range numbers(s.t, plain[2]) {
		epoch := int64(-1)
		if b, found := s.img.Broker(id); found {
			epoch = override("broker-epoch", b.Epoch)
		}
		wanted.NewEpochISR = append(wanted.NewEpochISR, kmsg.AlterPartitionRequestTopicPartitionNewEpochISR{BrokerID: id, BrokerEpoch: epoch})
	}
	req.Topics = []kmsg.AlterPartitionRequestTopic{{Topic: t.Name, TopicID: t.ID, Partitions: []kmsg.AlterPartitionRequestTopicPartition{wanted}}}
	records, resp := (&Controller{}).AlterPartition(s.img, req, s.in)
	s.answered(resp.ErrorCode, nil)
	for _, topic := range resp.Topics {
		s.answered(topic.Partitions[0].ErrorCode, nil)
	}
	s.decided(records)
}

func (s *story) elect(plain []string) {
	req := kmsg.NewPtrElectLeadersRequest()
	req.Version = 2
	if plain[0] == "unclean" {
		req.ElectionType = 1
	}
	if len(plain) > 1 {
		req.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: plain[1], Partitions: numbers(s.t, plain[2])}}
	}
	records, resp := (&Controller{}).ElectLeaders(s.img, req, s.in)
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			s.answered(p.ErrorCode, p.ErrorMessage)
		}
	}
	s.decided(records)
}

func (s *story) move(plain []string) {
	wanted := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	wanted.Partition = number(s.t, plain[1])
	if len(plain) > 2 {
		wanted.Replicas = numbers(s.t, plain[2])
	}
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: plain[0], Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{wanted}}}
	s.reassign(req)
}

func (s *story) reassign(req *kmsg.AlterPartitionAssignmentsRequest) {
	records, resp := (&Controller{}).AlterPartitionReassignments(s.img, req, s.in)
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			s.answered(p.ErrorCode, p.ErrorMessage)
		}
	}
	s.decided(records)
}

func (s *story) printMoves() {
	for _, topic := range (&Controller{}).ListPartitionReassignments(s.img, kmsg.NewPtrListPartitionReassignmentsRequest()).Topics {
		for _, p := range topic.Partitions {
			fmt.Fprintf(&s.out, "%s-%d moves: replicas %s adding %s removing %s\n", topic.Topic, p.Partition, list(p.Replicas), list(p.AddingReplicas), list(p.RemovingReplicas))
		}
	}
}

func (s *story) lies(plain []string) {
	t, index, _ := s.find(plain[2:])
	dir := DamagedDir
	if plain[1] != "damaged" {
		dir = dirID(number(s.t, plain[1]))
	}
	b, _ := s.img.Broker(number(s.t, plain[0]))
	req := kmsg.NewPtrAssignReplicasToDirsRequest()
	req.BrokerID, req.BrokerEpoch = b.ID, b.Epoch
	req.Directories = []kmsg.AssignReplicasToDirsRequestDirectory{{ID: dir, Topics: []kmsg.AssignReplicasToDirsRequestDirectoryTopic{
		{TopicID: t.ID, Partitions: []kmsg.AssignReplicasToDirsRequestDirectoryTopicPartition{{Partition: index}}}}}}
	records, resp := (&Controller{}).AssignReplicasToDirs(s.img, req, s.in)
	s.answered(resp.Directories[0].Topics[0].Partitions[0].ErrorCode, nil)
	s.decided(records)
}

func (s *story) set(name string, pairs []string) {
	line := append([]string{"topic", name}, pairs...)
	if name == "-" {
		line[0] = "broker"
	}
	req := incrementalRequest(s.t, [][]string{line}, false).(*kmsg.IncrementalAlterConfigsRequest)
	records, resp := (&Controller{}).IncrementalAlterConfigs(s.img, req, s.in)
	s.answered(resp.Resources[0].ErrorCode, resp.Resources[0].ErrorMessage)
	s.decided(records)
}

func (s *story) leave(leaving []int32, keyed map[string]string) {
	plan := decommission.Make(factsOf(s.img), leaving, int(number(s.t, keyed["moves"])))
	fmt.Fprintf(&s.out, "%d replicas left, %d of them moving, %d led\n", plan.Replicas, plan.Moving, plan.Leaders)
	for _, stuck := range plan.Stuck {
		fmt.Fprintf(&s.out, "%s is stuck: %s\n", stuck.TopicPartition, stuck.Why)
	}
	s.reassign(requestOf(plan))
}

// factsOf is what a client would be told of an image.
func factsOf(img *metadata.Image) *health.Facts {
	f := &health.Facts{}
	for b := range img.Brokers() {
		f.Brokers = append(f.Brokers, health.Broker{ID: b.ID, Rack: b.Rack, Fenced: !b.Active(), Dirs: []health.Dir{{Cordoned: b.Cordoned}}})
	}
	for t := range img.Topics() {
		for i := range t.Partitions {
			p := &t.Partitions[i]
			f.Partitions = append(f.Partitions, health.Partition{
				TopicPartition: protocol.TopicPartition{Topic: t.Name, Partition: int32(i)}, Leader: p.Leader,
				Replicas: p.Replicas, ISR: p.ISR, Adding: p.Adding(), Removing: p.Removing(),
			})
		}
	}
	return f
}

func requestOf(plan *decommission.Plan) *kmsg.AlterPartitionAssignmentsRequest {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	for _, m := range plan.Next {
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Partition, p.Replicas = m.Partition, m.Replicas
		req.Topics = append(req.Topics, kmsg.AlterPartitionAssignmentsRequestTopic{Topic: m.Topic, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{p}})
	}
	return req
}

func (s *story) answered(code int16, message *string) {
	if code != 0 {
		fmt.Fprintln(&s.out, printError(code, message))
	}
}

// decided sends the records through their bytes, applies them, and prints what they
// changed.
func (s *story) decided(records []metadata.Record) {
	if len(records) == 0 {
		return
	}
	s.offset++
	before := s.img
	read, err := metadata.DecodeDecision(metadata.EncodeDecision(nil, records))
	if err != nil {
		s.t.Fatal(err)
	}
	s.apply(s.t, read)
	for b := range s.img.Brokers() {
		if was, found := before.Broker(b.ID); !found || was != b {
			s.printBroker(b)
		}
	}
	for b := range before.Brokers() {
		if _, found := s.img.Broker(b.ID); !found {
			fmt.Fprintf(&s.out, "broker %d is gone\n", b.ID)
		}
	}
	for topic := range s.img.Topics() {
		for i := range topic.Partitions {
			was, found := before.TopicByID(topic.ID)
			if !found || i >= len(was.Partitions) || !was.Partitions[i].Equal(&topic.Partitions[i]) {
				s.printPartition(topic, i)
			}
		}
	}
}

func (s *story) printAll() {
	for b := range s.img.Brokers() {
		s.printBroker(b)
	}
	for topic := range s.img.Topics() {
		for i := range topic.Partitions {
			s.printPartition(topic, i)
		}
	}
}

func (s *story) printBroker(b *metadata.Broker) {
	fmt.Fprintf(&s.out, "broker %d epoch %d", b.ID, b.Epoch)
	for _, flag := range []struct {
		set  bool
		name string
	}{{b.Fenced, "fenced"}, {b.InControlledShutdown, "shutting down"}, {b.Cordoned, "cordoned"}, {b.Active(), "active"}} {
		if flag.set {
			fmt.Fprintf(&s.out, " %s", flag.name)
		}
	}
	if len(b.OfflineLogDirs) > 0 {
		fmt.Fprintf(&s.out, ", %d log dirs failed", len(b.OfflineLogDirs))
	}
	fmt.Fprintln(&s.out)
}

func (s *story) printPartition(t *metadata.Topic, i int) {
	p := &t.Partitions[i]
	leader := "no leader"
	if p.Leader >= 0 {
		leader = fmt.Sprintf("leader %d", p.Leader)
	}
	fmt.Fprintf(&s.out, "%s-%d: %s, epoch %d/%d, replicas %s, isr %s", t.Name, i, leader, p.LeaderEpoch, p.PartitionEpoch, list(p.Replicas), list(p.ISR))
	for _, l := range []struct {
		name    string
		brokers []int32
	}{{"adding", p.Adding()}, {"removing", p.Removing()}, {"elr", p.ELR()}, {"last led by", p.LastKnownELR()}, {"failed on", p.Offline()}} {
		if len(l.brokers) > 0 {
			fmt.Fprintf(&s.out, ", %s %s", l.name, list(l.brokers))
		}
	}
	if p.Recovering {
		fmt.Fprint(&s.out, ", recovering")
	}
	fmt.Fprintln(&s.out)
}

func list(brokers []int32) string {
	var all []string
	for _, id := range brokers {
		all = append(all, strconv.Itoa(int(id)))
	}
	if len(all) == 0 {
		return "-"
	}
	return strings.Join(all, "/")
}
