package main

import (
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/protocol"
)

// fakeCluster is a cluster of several nodes in this process. Its decisions are those
// of the real controller; its logs are only sizes. Time does not pass in it: replicas
// copy pace bytes each time that somebody asks for the brokers.
type fakeCluster struct {
	t  *testing.T
	in controller.Inputs

	mu       sync.Mutex // guards all below
	img      *metadata.Image
	nodes    map[int32]*fakeNode
	sizes    map[topicPartition]map[int32]int64
	pace     int64
	quorum   kmsg.DescribeQuorumResponseTopicPartition
	configs  map[string]map[string]string // that were set, by "broker 1" and "topic a"
	altered  []string                     // what was set and deleted, in order
	ignored  string                       // a config that the cluster takes and forgets
	refused  string                       // one that it does not take
	unserved map[kmsg.Key]bool
	answers  map[kmsg.Key]func(kmsg.Request) kmsg.Response // instead of the usual ones; nil: none comes
}

// fakeNode is one node's listener, which keeps its address while it is down.
type fakeNode struct {
	address       *net.TCPAddr
	listener      net.Listener // nil: it is down
	conns         []net.Conn
	usable, total int64 // bytes of its disk
}

// newFakeCluster starts nodes 1 to n.
func newFakeCluster(t *testing.T, n int32) *fakeCluster {
	broker, _, err := config.Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ids := byte(0)
	c := &fakeCluster{
		t: t, img: metadata.Empty(), nodes: map[int32]*fakeNode{}, sizes: map[topicPartition]map[int32]int64{},
		unserved: map[kmsg.Key]bool{}, configs: map[string]map[string]string{}, answers: map[kmsg.Key]func(kmsg.Request) kmsg.Response{},
		in: controller.Inputs{Config: broker, NewTopicID: func() protocol.TopicID { ids++; return protocol.TopicID{15: ids} }},
	}
	c.decide([]metadata.Record{&metadata.ClusterNamed{ClusterID: "fake"}})
	c.quorum = kmsg.NewDescribeQuorumResponseTopicPartition()
	c.quorum.LeaderID = 1
	for id := int32(1); id <= n; id++ {
		c.nodes[id] = &fakeNode{address: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, usable: 50e9, total: 100e9}
		c.start(id)
		voter := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
		voter.ReplicaID, voter.LogEndOffset, voter.LastFetchTimestamp, voter.LastCaughtUpTimestamp = id, 100, 1e12, 1e12
		c.quorum.CurrentVoters = append(c.quorum.CurrentVoters, voter)
	}
	t.Cleanup(func() {
		for id := range c.nodes {
			c.kill(id)
		}
	})
	return c
}

// address is where a node is, which is up.
func (c *fakeCluster) address(id int32) string { return c.nodes[id].address.String() }

// decide applies records. The caller holds mu, or is alone.
func (c *fakeCluster) decide(records []metadata.Record) {
	img, _, err := c.img.Apply(records)
	if err != nil {
		c.t.Error(err)
		return
	}
	c.img = img
}

// start lets a node in that is down or new: it listens, and is registered.
func (c *fakeCluster) start(id int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	node := c.nodes[id]
	l, err := net.Listen("tcp", node.address.String())
	if err != nil {
		c.t.Error(err)
		return
	}
	node.listener, node.address = l, l.Addr().(*net.TCPAddr)
	go c.accept(id, l)
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.BrokerID, req.ClusterID, req.PreviousBrokerEpoch = id, "fake", -1
	req.IncarnationID = [16]byte{byte(id), byte(c.img.LastBrokerEpoch())}
	req.LogDirs = [][16]byte{{0: 0xd0, 15: byte(id)}}
	listener := kmsg.NewBrokerRegistrationRequestListener()
	listener.Name, listener.Host, listener.Port = "PLAINTEXT", "127.0.0.1", uint16(node.address.Port)
	req.Listeners = append(req.Listeners, listener)
	if known, found := c.img.Broker(id); found {
		req.PreviousBrokerEpoch = known.Epoch
	}
	records, resp, err := (&controller.Controller{}).RegisterBroker(c.img, req, false, c.in)
	if err != nil {
		c.t.Error(err)
	}
	c.decide(records)
	beat := kmsg.NewPtrBrokerHeartbeatRequest()
	beat.BrokerID, beat.BrokerEpoch, beat.CurrentMetadataOffset = id, resp.BrokerEpoch, 1
	records, _ = (&controller.Controller{}).Heartbeat(c.img, beat, controller.Progress{}, c.in)
	c.decide(records)
}

// kill ends a node at once; the controller notices only when it is told to fence it.
func (c *fakeCluster) kill(id int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	node := c.nodes[id]
	if node.listener != nil {
		node.listener.Close()
		node.listener = nil
	}
	for _, conn := range node.conns {
		conn.Close()
	}
	node.conns = nil
}

func (c *fakeCluster) fence(id int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	records, _ := (&controller.Controller{}).FenceBroker(c.img, id, c.in)
	c.decide(records)
}

// topic makes a topic whose partitions have the given replicas, all in sync, and
// logs of size bytes.
func (c *fakeCluster) topic(name string, size int64, replicas ...[]int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, -1, -1
	for i, ids := range replicas {
		topic.ReplicaAssignment = append(topic.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(i), Replicas: ids})
		tp := topicPartition{Topic: name, Partition: int32(i)}
		c.sizes[tp] = map[int32]int64{}
		for _, id := range ids {
			c.sizes[tp][id] = size
		}
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, topic)
	records, resp := (&controller.Controller{}).CreateTopics(c.img, req, c.in)
	if code := resp.Topics[0].ErrorCode; code != 0 {
		c.t.Errorf("create %s: code %d", name, code)
	}
	c.decide(records)
}

// copyOn lets the replicas that are not in sync copy, and joins those that have all
// to the ISR.
func (c *fakeCluster) copyOn() {
	for t := range c.img.Topics() {
		for i := range t.Partitions {
			p, sizes := &t.Partitions[i], c.sizes[topicPartition{Topic: t.Name, Partition: int32(i)}]
			if p.Leader < 0 {
				continue
			}
			for _, id := range p.Replicas {
				if slices.Contains(p.ISR, id) || !c.img.Active(id) || c.nodes[id].listener == nil {
					continue
				}
				if sizes[id] = min(sizes[id]+c.pace, sizes[p.Leader]); c.pace > 0 && sizes[id] == sizes[p.Leader] {
					c.join(t, int32(i), id)
				}
			}
		}
	}
}

func (c *fakeCluster) join(t *metadata.Topic, index, id int32) {
	now, _ := c.img.TopicByID(t.ID)
	p := &now.Partitions[index]
	leader, _ := c.img.Broker(p.Leader)
	wanted := kmsg.NewAlterPartitionRequestTopicPartition()
	wanted.Partition, wanted.LeaderEpoch, wanted.PartitionEpoch = index, p.LeaderEpoch, p.PartitionEpoch
	for _, id := range append(slices.Clone(p.ISR), id) {
		b, _ := c.img.Broker(id)
		wanted.NewEpochISR = append(wanted.NewEpochISR, kmsg.AlterPartitionRequestTopicPartitionNewEpochISR{BrokerID: id, BrokerEpoch: b.Epoch})
	}
	req := kmsg.NewPtrAlterPartitionRequest()
	req.Version, req.BrokerID, req.BrokerEpoch = 3, leader.ID, leader.Epoch
	req.Topics = []kmsg.AlterPartitionRequestTopic{{TopicID: t.ID, Partitions: []kmsg.AlterPartitionRequestTopicPartition{wanted}}}
	records, _ := (&controller.Controller{}).AlterPartition(c.img, req, c.in)
	c.decide(records)
}

func (c *fakeCluster) accept(id int32, l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		if node := c.nodes[id]; node.listener == l {
			node.conns = append(node.conns, conn)
		} else {
			conn.Close()
		}
		c.mu.Unlock()
		go c.serve(id, conn)
	}
}

// serve answers the requests of one connection until it ends.
func (c *fakeCluster) serve(id int32, conn net.Conn) {
	defer conn.Close()
	for {
		size := make([]byte, 4)
		if _, err := io.ReadFull(conn, size); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(size))
		if _, err := io.ReadFull(conn, frame); err != nil {
			return
		}
		req := kmsg.RequestForKey(int16(binary.BigEndian.Uint16(frame)))
		req.SetVersion(int16(binary.BigEndian.Uint16(frame[2:])))
		body := frame[10+max(0, int16(binary.BigEndian.Uint16(frame[8:]))):] // after the client's id
		if req.IsFlexible() {
			body = body[1:] // no tags
		}
		if err := req.ReadFrom(body); err != nil {
			c.t.Errorf("read a %T: %v", req, err)
			return
		}
		resp := c.answer(id, req)
		if resp == nil {
			continue
		}
		reply := append(make([]byte, 4), frame[4:8]...) // the correlation id
		if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
			reply = append(reply, 0)
		}
		reply = resp.AppendTo(reply)
		binary.BigEndian.PutUint32(reply, uint32(len(reply)-4))
		if _, err := conn.Write(reply); err != nil {
			return
		}
	}
}
