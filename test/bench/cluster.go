package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/brokers"
)

// nodes are those of a cluster, and the replicas of its topics.
const nodes = 3

// clusterKinds make clusters of the kinds, in their order.
var clusterKinds = []func(int, brokers.Options) (*brokers.Cluster, error){brokers.KlammCluster, brokers.ApacheCluster}

// ledByAll is a number of partitions of which each node leads as many.
const ledByAll = 2 * nodes

// replicated are the loads of clusters: acks=all, and two replicas besides the leader.
var replicated = []workload{
	producingTo(ledByAll, "3 replicas: produce, 600 × 100 B a batch, 6 connections", "large", 600, 100, 6, 0, throughput, cpuOfByte),
	producingTo(ledByAll, "3 replicas: produce, 10 × 1 KB a batch, 12 connections", "medium", 10, 1000, 12, 0, throughput, cpuOfByte),
	producingTo(ledByAll, "3 replicas: produce, 300 requests/s of 10 KB, open loop", "steady", 10, 1000, 6, 300, median, slowest, cpuOfOne),
}

// clusters measures a cluster of each kind. What it started has ended when it
// returns.
func (m *measurement) clusters(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "klamm-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var all []*brokers.Cluster
	defer func() {
		for _, c := range all {
			err = errors.Join(err, c.Kill())
		}
	}()
	for i, create := range clusterKinds {
		c, err := create(nodes, brokers.Options{Dir: filepath.Join(dir, strconv.Itoa(i)), Java: kafkaJava})
		if err != nil {
			return err
		}
		all = append(all, c)
		if err := c.Start(ctx); err != nil {
			return err
		}
	}
	for _, w := range replicated {
		if err := m.replicatedLoad(ctx, all, w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return nil
}

// replicatedLoad lets the clusters take turns at one load.
func (m *measurement) replicatedLoad(ctx context.Context, all []*brokers.Cluster, w workload) error {
	leaders := make([][]string, len(all))
	for i, c := range all {
		var err error
		if leaders[i], err = spread(ctx, c, w); err != nil {
			return err
		}
	}
	r := w.row()
	for round := range m.rounds {
		for i, c := range all {
			if err := ctx.Err(); err != nil {
				return err
			}
			o, err := m.clusterTurn(c, w, leaders[i])
			if err != nil {
				return fmt.Errorf("%s: %w", c.Kind, err)
			}
			w.note(r, round, i, o)
		}
	}
	m.rows = append(m.rows, r)
	fmt.Println(r.markdown())
	for _, c := range all {
		if err := forget(ctx, c, w.topic); err != nil {
			return err
		}
	}
	return nil
}

// clusterTurn puts one load on one cluster; the CPU is that of all its nodes.
func (m *measurement) clusterTurn(c *brokers.Cluster, w workload, leaders []string) (o outcome, err error) {
	syscall.Sync() // what others left for the disk is not this cluster's to wait for
	before, err := clusterCPU(c)
	if err != nil {
		return o, err
	}
	if o.Result, err = w.run(m.length, leaders...); err != nil {
		return o, err
	}
	after, err := clusterCPU(c)
	o.cpu = after - before
	return o, err
}

func clusterCPU(c *brokers.Cluster) (total time.Duration, err error) {
	for _, n := range c.Nodes {
		u, err := n.Usage()
		if err != nil {
			return 0, err
		}
		total += u.CPU
	}
	return total, nil
}

// spread makes the topic of a load and returns the addresses of its leaders, by
// partition.
func spread(ctx context.Context, c *brokers.Cluster, w workload) (leaders []string, err error) {
	err = asAdmin(c, func(admin *kadm.Client) error {
		_, err := admin.CreateTopic(ctx, w.partitions, nodes, map[string]*string{
			"min.insync.replicas": kadm.StringPtr("2"), "file.delete.delay.ms": kadm.StringPtr("1000"),
		}, w.topic)
		return err
	})
	if err := errors.Join(err, c.AwaitInSync(ctx)); err != nil {
		return nil, fmt.Errorf("create %s: %w", w.topic, err)
	}
	for p := range w.partitions {
		n, err := c.AwaitLeader(ctx, protocol.TopicPartition{Topic: w.topic, Partition: p}, nil)
		if err != nil {
			return nil, err
		}
		leaders = append(leaders, n.Addr)
	}
	return leaders, nil
}

func forget(ctx context.Context, c *brokers.Cluster, topic string) error {
	return asAdmin(c, func(admin *kadm.Client) error {
		_, err := admin.DeleteTopic(ctx, topic)
		return err
	})
}

func asAdmin(c *brokers.Cluster, do func(*kadm.Client) error) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Seeds()...))
	if err != nil {
		return err
	}
	defer cl.Close()
	return do(kadm.NewClient(cl))
}
