package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/internal/quantity"
)

// itoa spares conversions at the many places where Kafka's numbers are int32.
func itoa(n int32) string { return strconv.Itoa(int(n)) }

// checkPartition makes sure that the topic exists, and the partition where it
// is not -1: clients wait long for what may come into being.
func checkPartition(ctx context.Context, client *kgo.Client, topic string, partition int32) error {
	var only []int32
	if partition >= 0 {
		only = []int32{partition}
	}
	_, err := partitionsOf(ctx, kadm.NewClient(client), topic, only)
	return err
}

// partitionsOf gives the partitions of a topic in order, all or those in only,
// which must exist.
func partitionsOf(ctx context.Context, admin *kadm.Client, topic string, only []int32) ([]int32, error) {
	details, err := describeTopics(ctx, admin, topic)
	if err != nil {
		return nil, err
	}
	all := details[topic].Partitions.Numbers()
	for _, p := range only {
		if !slices.Contains(all, p) {
			return nil, fmt.Errorf("topic %s has %s: there is no partition %d", topic, quantity.Counted(int64(len(all)), "partition", "partitions"), p)
		}
	}
	if len(only) > 0 {
		return only, nil
	}
	return all, nil
}
