package controller

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// TestPlaceInRacks: leaders are even; no rack has two replicas of a partition while
// another has none; in racks of the same size replicas are even too; brokers that are
// not active lead nothing and get replicas only where there are too few others.
func TestPlaceInRacks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		racks, each := rapid.IntRange(1, 4).Draw(t, "racks"), rapid.IntRange(1, 4).Draw(t, "brokers a rack")
		fenced := rapid.IntRange(0, racks*each-1).Draw(t, "fenced")
		img := brokersInRacks(t, racks, each, fenced)
		factor := rapid.IntRange(1, racks*each).Draw(t, "replication factor")
		count := rapid.IntRange(1, 60).Draw(t, "partitions")
		partitions, err := placePartitions(img, nil, rapid.IntRange(0, 100).Draw(t, "first"), count, factor)
		if err != nil {
			t.Fatal(err)
		}
		leads, holds := map[int32]int{}, map[int32]int{}
		for _, p := range partitions {
			leads[p.Leader]++
			inRack := make([]int, racks)
			for _, id := range p.Replicas {
				holds[id]++
				inRack[int(id)%racks]++
				if factor <= racks*each-fenced && !img.Active(id) {
					t.Fatalf("replicas %v: broker %d is fenced", p.Replicas, id)
				}
			}
			if fenced == 0 && slices.Max(inRack)-slices.Min(inRack) > 1 {
				t.Fatalf("replicas %v of %d brokers in %d racks", p.Replicas, racks*each, racks)
			}
			if len(slices.Compact(slices.Sorted(slices.Values(p.Replicas)))) != factor {
				t.Fatalf("replicas %v, want %d", p.Replicas, factor)
			}
		}
		requireEven(t, img, leads, 1, "leads")
		if fenced == 0 {
			// The second replica is chosen by who was second to that leader least often,
			// whatever it holds: the rest makes up for that, but not always at once.
			requireEven(t, img, holds, 3, "holds")
		}
	})
}

func brokersInRacks(t *rapid.T, racks, each, fenced int) *metadata.Image {
	img := metadata.Empty()
	for id := range racks * each {
		b := metadata.Broker{ID: int32(id), Rack: fmt.Sprint("rack ", id%racks)}
		b.Fenced = id < fenced
		next, _, err := img.Apply([]metadata.Record{&metadata.BrokerRegistered{Broker: b}})
		if err != nil {
			t.Fatal(err)
		}
		img = next
	}
	return img
}

func requireEven(t *rapid.T, img *metadata.Image, count map[int32]int, most int, what string) {
	var all []int
	for b := range img.Brokers() {
		if b.Active() {
			all = append(all, count[b.ID])
		} else if count[b.ID] > 0 && what == "leads" {
			t.Fatalf("broker %d is fenced and %s %d", b.ID, what, count[b.ID])
		}
	}
	if slices.Max(all)-slices.Min(all) > most {
		t.Fatalf("who %s how many: %v", what, all)
	}
}

// TestPlaceSpreadsFollowers: whichever broker fails, the others share what it led.
func TestPlaceSpreadsFollowers(t *testing.T) {
	c := newCluster(t)
	for id := int32(1); id <= 5; id++ {
		c.apply(t, []metadata.Record{&metadata.BrokerRegistered{Broker: metadata.Broker{ID: id, Epoch: int64(id)}}})
	}
	partitions, err := placePartitions(c.img, nil, 0, 100, 3)
	if err != nil {
		t.Fatal(err)
	}
	c.apply(t, []metadata.Record{&metadata.TopicCreated{Topic: metadata.Topic{Name: "a", Partitions: partitions}}})
	for id := int32(1); id <= 5; id++ {
		records, _ := (&Controller{}).FenceBroker(c.img, id, c.in)
		after, _, err := c.img.Apply(records)
		if err != nil {
			t.Fatal(err)
		}
		leads := map[int32]int{}
		topic, _ := after.Topic("a")
		for _, p := range topic.Partitions {
			leads[p.Leader]++
		}
		for other := int32(1); other <= 5; other++ {
			if want := 25; other != id && (leads[other] < want-5 || leads[other] > want+5) {
				t.Errorf("without broker %d: broker %d leads %d, want about %d", id, other, leads[other], want)
			}
		}
	}
}
