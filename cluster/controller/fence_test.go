package controller

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/protocol"
)

// crowded is three brokers and topics of ten partitions, of three replicas each.
func crowded(tb testing.TB, topics int) (*metadata.Image, Inputs) {
	broker, _, err := config.Load("", nil, nil)
	if err != nil {
		tb.Fatal(err)
	}
	records := []metadata.Record{}
	for id := int32(1); id <= 3; id++ {
		records = append(records, &metadata.BrokerRegistered{Broker: metadata.Broker{ID: id, Epoch: int64(id)}})
	}
	img, _, err := metadata.Empty().Apply(records)
	if err != nil {
		tb.Fatal(err)
	}
	for n := range topics {
		partitions, err := placePartitions(img, nil, n, 10, 3)
		if err != nil {
			tb.Fatal(err)
		}
		topic := metadata.Topic{Name: fmt.Sprint("topic-", n), ID: protocol.NewTopicID(), Partitions: partitions}
		if img, _, err = img.Apply([]metadata.Record{&metadata.TopicCreated{Topic: topic}}); err != nil {
			tb.Fatal(err)
		}
	}
	return img, Inputs{Config: broker}
}

// TestFenceInSteps: what does not fit into one decision follows in the next, and the
// broker is fenced by the last.
func TestFenceInSteps(t *testing.T) {
	img, in := crowded(t, maxSweep/10+1)
	c := &cluster{img: img, in: in}
	records, more := (&Controller{}).FenceBroker(c.img, 1, in)
	c.apply(t, records)
	if b, _ := c.img.Broker(1); !more || b.Fenced {
		t.Fatalf("more %v, fenced %v, want more first", more, b.Fenced)
	}
	if code := unregister(c, 1).ErrorCode; code != 0 {
		t.Fatalf("the rest fits: code %d", code)
	}
	if code := unregister(&cluster{img: img, in: in}, 1).ErrorCode; code != kerr.RequestTimedOut.Code {
		t.Errorf("unregistered at once: code %d", code)
	}
	records, more = (&Controller{}).FenceBroker(c.img, 1, in)
	c.apply(t, records)
	if b, _ := c.img.Broker(1); more || !b.Fenced || leads(c.img, 1) {
		t.Errorf("more %v, fenced %v, leads %v", more, b.Fenced, leads(c.img, 1))
	}
	if records, more := (&Controller{}).FenceBroker(c.img, 1, in); len(records) > 0 || more {
		t.Error("fenced again")
	}
}

func unregister(c *cluster, id int32) *kmsg.UnregisterBrokerResponse {
	_, resp := (&Controller{}).UnregisterBroker(c.img, &kmsg.UnregisterBrokerRequest{BrokerID: id}, c.in)
	return resp
}

// BenchmarkFence fences one of three brokers that hold 100,000 partitions: decides, makes
// bytes of it, and applies them as every node does.
func BenchmarkFence(b *testing.B) {
	img, in := crowded(b, 10_000)
	size := 0
	for b.Loop() {
		records, _ := (&Controller{}).FenceBroker(img, 1, in)
		decision := metadata.EncodeDecision(nil, records)
		size = len(decision)
		read, err := metadata.DecodeDecision(decision)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := img.Apply(read); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size), "bytes")
}

func BenchmarkFenceDecision(b *testing.B) {
	img, in := crowded(b, 10_000)
	for b.Loop() {
		(&Controller{}).FenceBroker(img, 1, in)
	}
}

// TestSweepStopsWithinATopic: the limit may fall among the partitions of the last
// topic, and does not hide those after it.
func TestSweepStopsWithinATopic(t *testing.T) {
	img, in := crowded(t, 1)
	changed := 0
	for range 4 {
		s := newSweep(img, in).with(1, false)
		s.left = 3
		records, more := s.run(inISR(1), func(d *draft) { d.isr = without(d.isr, []int32{1}) })
		for _, r := range records {
			changed += len(r.(*metadata.PartitionsChanged).Changes)
		}
		if more != (changed < 10) {
			t.Fatalf("more %v after %d of 10 partitions", more, changed)
		}
		c := &cluster{img: img, in: in}
		c.apply(t, records)
		img = c.img
	}
	if changed != 10 {
		t.Errorf("changed %d partitions of 10", changed)
	}
}
