package metadata

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/klamm-io/klamm/protocol"
)

// TestTranscripts applies records, one Apply a block, and prints the delta and
// the image. The records read:
//
//	cluster ID | controller ID | broker ID EPOCH | topic NAME ID PARTITIONS | delete ID
//	partitions ID FIRST COUNT | leader ID INDEX LEADER EPOCH | ids NEXT | feature NAME LEVEL
//	config topic|broker NAME KEY [VALUE]
//
// where a topic's id is a number, and "-" is the empty name.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/apply", func(t *testing.T, path string) {
		img := Empty()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "apply":
				var records []Record
				for line := range strings.Lines(d.Input) {
					records = append(records, parseRecord(t, strings.Fields(line)))
				}
				next, delta, err := img.Apply(records)
				if err != nil {
					return "error: " + err.Error() + "\n"
				}
				img = next
				return printDelta(delta)
			case "image":
				return printImage(img)
			}
			d.Fatalf(t, "no command %s", d.Cmd)
			return ""
		})
	})
}

func parseRecord(t *testing.T, f []string) Record {
	number := func(i int) int32 {
		n, err := strconv.Atoi(f[i])
		if err != nil {
			t.Fatal(err)
		}
		return int32(n)
	}
	id := func(i int) protocol.TopicID { return protocol.TopicID{0: byte(number(i))} }
	partitions := func(n int32) []Partition {
		return slices.Repeat([]Partition{{Leader: 1, Replicas: []int32{1}, ISR: []int32{1}}}, int(n))
	}
	switch f[0] {
	case "cluster":
		return &ClusterNamed{f[1]}
	case "controller":
		return &ControllerElected{number(1)}
	case "broker":
		return &BrokerRegistered{Broker{ID: number(1), Epoch: int64(number(2)), Endpoints: []Endpoint{{"PLAINTEXT", "localhost", 9092, 0}}}}
	case "topic":
		return &TopicCreated{Topic{f[1], id(2), partitions(number(3))}}
	case "delete":
		return &TopicDeleted{id(1)}
	case "partitions":
		return &PartitionsAdded{id(1), number(2), partitions(number(3))}
	case "leader":
		return &PartitionsChanged{id(1), []PartitionChange{{number(2), Partition{Leader: number(3), LeaderEpoch: number(4), PartitionEpoch: number(4), Replicas: []int32{1}}}}}
	case "ids":
		return &ProducerIDsAllocated{int64(number(1))}
	case "feature":
		return &FeatureLevelSet{f[1], int16(number(2))}
	case "config":
		set := &ConfigSet{Resource: BrokerResource(strings.Trim(f[2], "-")), Name: f[3]}
		if f[1] == "topic" {
			set.Resource = TopicResource(f[2])
		}
		if len(f) > 4 {
			set.Value = &f[4]
		}
		return set
	}
	t.Fatalf("no record %s", f[0])
	return nil
}

func printDelta(d *Delta) string {
	var b strings.Builder
	for _, t := range d.TopicsCreated {
		fmt.Fprintf(&b, "created %s with %d partitions\n", t.Name, len(t.Partitions))
	}
	for _, t := range d.TopicsDeleted {
		fmt.Fprintf(&b, "deleted %s with %d partitions\n", t.Name, len(t.Partitions))
	}
	for _, t := range d.TopicsChanged {
		fmt.Fprintf(&b, "changed %s: %d partitions were %d\n", t.After.Name, len(t.After.Partitions), len(t.Before.Partitions))
	}
	for _, r := range d.ConfigsChanged {
		fmt.Fprintf(&b, "configs of %s %q\n", r.Type, r.Name)
	}
	for _, id := range d.BrokersChanged {
		fmt.Fprintf(&b, "broker %d\n", id)
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

func printImage(img *Image) string {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster %q, controller %d, next producer id %d, %d topics, %d partitions\n",
		img.ClusterID, img.ControllerID, img.NextProducerID, img.NumTopics(), img.NumPartitions())
	for name, level := range img.Features() {
		fmt.Fprintf(&b, "feature %s %d\n", name, level)
	}
	for broker := range img.Brokers() {
		fmt.Fprintf(&b, "broker %d epoch %d at %v\n", broker.ID, broker.Epoch, broker.Endpoints)
	}
	for t := range img.Topics() {
		fmt.Fprintf(&b, "topic %s", t.Name)
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, " {leader %d epochs %d/%d replicas %v isr %v}", p.Leader, p.LeaderEpoch, p.PartitionEpoch, p.Replicas, p.ISR)
		}
		b.WriteByte('\n')
	}
	for r, set := range img.configs.all() {
		for _, key := range slices.Sorted(maps.Keys(set)) {
			fmt.Fprintf(&b, "config %s %q %s=%s\n", r.Type, r.Name, key, set[key])
		}
	}
	return b.String()
}
