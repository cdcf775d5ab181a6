package brokers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/wire"
)

// Ask sends a request to the node.
func (b *Broker) Ask(req kmsg.Request) (kmsg.Response, error) {
	c, err := wire.Dial(b.Addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.RoundTrip(req)
}

// Ask sends a request to the first node that is awake and answers.
func (c *Cluster) Ask(req kmsg.Request) (kmsg.Response, error) {
	err := errors.New("no node is awake")
	for _, n := range c.Nodes {
		if !n.Awake() {
			continue
		}
		var resp kmsg.Response
		if resp, err = n.Ask(req); err == nil {
			return resp, nil
		}
	}
	return nil, err
}

// metadata is what the node knows of the cluster and of all topics.
func (b *Broker) metadata() (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	resp, err := b.Ask(req)
	if err != nil {
		return nil, err
	}
	return resp.(*kmsg.MetadataResponse), nil
}

// AwaitInSync returns when every node is awake and knows of every other one, and
// each partition has a leader and all of its replicas in sync.
func (c *Cluster) AwaitInSync(ctx context.Context) error {
	return c.await(ctx, "all nodes to be in sync", func() error {
		for _, n := range c.Nodes {
			if err := n.inSync(len(c.Nodes)); err != nil {
				return fmt.Errorf("%s: %w", n.Name, err)
			}
		}
		return nil
	})
}

func (b *Broker) inSync(nodes int) error {
	if err := b.exit(); err != nil {
		return err
	}
	m, err := b.metadata()
	if err != nil {
		return err
	}
	if len(m.Brokers) != nodes {
		return fmt.Errorf("it knows %d brokers of %d", len(m.Brokers), nodes)
	}
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			if p.Leader < 0 || len(p.ISR) != len(p.Replicas) {
				return fmt.Errorf("%s-%d has leader %d and of replicas %v in sync %v", *t.Topic, p.Partition, p.Leader, p.Replicas, p.ISR)
			}
		}
	}
	return nil
}

// await tries until it works, ctx ends, or a node that should run has ended.
func (c *Cluster) await(ctx context.Context, what string, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		if ended := new(endedError); errors.As(err, ended) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w; last: %w", what, ctx.Err(), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Leadership is who leads a partition, as some node knows it.
type Leadership struct {
	Leader   *Node // nil where it has none
	Epoch    int32
	Replicas []int32
	ISR      []int32
}

// Leadership asks a node that is awake who leads a partition.
func (c *Cluster) Leadership(tp protocol.TopicPartition) (l Leadership, err error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(tp.Topic)
	req.Topics = append(req.Topics, t)
	resp, err := c.Ask(req)
	if err != nil {
		return l, fmt.Errorf("ask who leads %s: %w", tp, err)
	}
	for _, p := range resp.(*kmsg.MetadataResponse).Topics[0].Partitions {
		if p.Partition == tp.Partition {
			return Leadership{c.Node(p.Leader), p.LeaderEpoch, p.Replicas, p.ISR}, nil
		}
	}
	return l, fmt.Errorf("ask who leads %s: there is no such partition", tp)
}

// AwaitLeader returns the leader of a partition once it has one that is another
// than the given one, which may be nil.
func (c *Cluster) AwaitLeader(ctx context.Context, tp protocol.TopicPartition, not *Node) (leader *Node, err error) {
	err = c.await(ctx, fmt.Sprintf("a leader of %s", tp), func() error {
		l, err := c.Leadership(tp)
		if err != nil {
			return err
		}
		if l.Leader == nil || l.Leader == not {
			return fmt.Errorf("its leader is %v of %v", l.Leader, l.Replicas)
		}
		leader = l.Leader
		return nil
	})
	return leader, err
}

// Controller returns the node that is the active controller.
func (c *Cluster) Controller(ctx context.Context) (active *Node, err error) {
	err = c.await(ctx, "an active controller", func() error {
		q, err := c.Quorum()
		if err != nil {
			return err
		}
		if active = c.Node(q.LeaderID); active == nil || !active.Awake() {
			return fmt.Errorf("it is node %d", q.LeaderID)
		}
		return nil
	})
	return active, err
}

// Quorum asks a node that is awake about the metadata quorum.
func (c *Cluster) Quorum() (q kmsg.DescribeQuorumResponseTopicPartition, err error) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Version = 1
	t := kmsg.NewDescribeQuorumRequestTopic()
	t.Topic, t.Partitions = "__cluster_metadata", []kmsg.DescribeQuorumRequestTopicPartition{kmsg.NewDescribeQuorumRequestTopicPartition()}
	req.Topics = append(req.Topics, t)
	resp, err := c.Ask(req)
	if err != nil {
		return q, fmt.Errorf("describe the quorum: %w", err)
	}
	r := resp.(*kmsg.DescribeQuorumResponse)
	if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
		return q, fmt.Errorf("describe the quorum: %w", err)
	}
	q = r.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(q.ErrorCode); err != nil {
		return q, fmt.Errorf("describe the quorum: %w", err)
	}
	return q, nil
}

// Topics are those that the node knows.
func (b *Broker) Topics() (names []string, err error) {
	m, err := b.metadata()
	if err != nil {
		return nil, fmt.Errorf("ask %s for its topics: %w", b.Name, err)
	}
	for _, t := range m.Topics {
		names = append(names, *t.Topic)
	}
	return names, nil
}

// Brokers are the addresses of those that the node knows, by id.
func (b *Broker) Brokers() (map[int32]string, error) {
	m, err := b.metadata()
	if err != nil {
		return nil, fmt.Errorf("ask %s for its brokers: %w", b.Name, err)
	}
	addrs := map[int32]string{}
	for _, other := range m.Brokers {
		addrs[other.NodeID] = fmt.Sprintf("%s:%d", other.Host, other.Port)
	}
	return addrs, nil
}
