//go:build compat

package compat

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/test/wire"
)

// batches returns all batches of a partition as they lie in the log.
func batches(t *testing.T, topic string, partition int32) []record.Batch {
	t.Helper()
	conn, err := wire.Dial(broker(t).Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var all []record.Batch
	for offset := int64(0); ; {
		next := fetch(t, conn, topic, partition, offset)
		if len(next) == 0 {
			return all
		}
		all = append(all, next...)
		offset = next[len(next)-1].NextOffset()
	}
}

// fetch returns whole batches from offset on, none at the end of the log.
func fetch(t *testing.T, conn *wire.Conn, topic string, partition int32, offset int64) []record.Batch {
	t.Helper()
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes, req.ReplicaID = 11, 50<<20, -1
	ft := kmsg.NewFetchRequestTopic()
	ft.Topic = topic
	fp := kmsg.NewFetchRequestTopicPartition()
	fp.Partition, fp.FetchOffset, fp.PartitionMaxBytes, fp.CurrentLeaderEpoch = partition, offset, 10<<20, -1
	ft.Partitions = append(ft.Partitions, fp)
	req.Topics = append(req.Topics, ft)
	resp, err := conn.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	p := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		t.Fatal(err)
	}
	var found []record.Batch
	for rest := p.RecordBatches; len(rest) > 0; {
		var b record.Batch
		if b, rest, err = record.Next(rest); err != nil {
			break // the last one may be cut short
		}
		if err := b.Verify(); err != nil {
			t.Fatal(err)
		}
		found = append(found, b)
	}
	return found
}

// wantCodec checks that the batches are as their writers compressed them.
// librdkafka leaves alone what would not shrink, such as a single short record.
func wantCodec(t *testing.T, topic string, partitions int32, codec string) {
	t.Helper()
	for p := range partitions {
		for _, b := range batches(t, topic, p) {
			got := b.Attributes().Codec().String()
			if got == "none" && b.Count() == 1 {
				continue
			}
			if got != codec {
				t.Errorf("%s-%d offset %d: the batch of %d records has codec %s, want %s", topic, p, b.BaseOffset(), b.Count(), got, codec)
			}
		}
	}
}
