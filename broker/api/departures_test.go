package api

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// TestAnswersWaitForWhoLeads: as long as it is not decided what became of a leader
// that hung up, and no longer.
func TestAnswersWaitForWhoLeads(t *testing.T) {
	const soon = 60 * time.Millisecond
	for _, c := range []struct {
		name  string
		leads []int32
		then  func(d *Departures) // after soon
		want  time.Duration
	}{
		{"it is fenced", []int32{1, 2}, func(d *Departures) { d.MetadataChanged(brokers(t, 2, metadata.BrokerState{Fenced: true}), []int32{2}) }, soon},
		{"it is unregistered", []int32{2}, func(d *Departures) { d.MetadataChanged(nobody(t), []int32{2}) }, soon},
		{"it is there after all", []int32{2}, func(d *Departures) { d.Reached(2) }, soon},
		{"nothing is decided", []int32{2}, func(d *Departures) { d.HungUp(2) }, doubtPatience},
		{"others lead", []int32{1, 3}, func(*Departures) {}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := NewDepartures()
				d.HungUp(2)
				time.AfterFunc(soon, func() { c.then(d) })
				if took := waited(t.Context(), d, c.leads...); took != c.want {
					t.Errorf("the answer waited for %s, want %s", took, c.want)
				}
				time.Sleep(soon) // so that nothing is under way
			})
		})
	}
}

// TestADoubtIsNotRepeated: a node that cannot be reached from here, and lives, does not
// make every answer wait.
func TestADoubtIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDepartures()
		d.HungUp(2)
		for _, want := range []time.Duration{doubtPatience, 0} {
			if took := waited(t.Context(), d, 2); took != want {
				t.Errorf("the answer waited for %s, want %s", took, want)
			}
			d.HungUp(2)
		}
		d.Reached(2)
		d.HungUp(2)
		if took := waited(t.Context(), d, 2); took != doubtPatience {
			t.Errorf("after the node was reached an answer waited for %s, want %s", took, doubtPatience)
		}
	})
}

// TestGoneBrokersAreToldOf for a while, until they are back or unregistered.
func TestGoneBrokersAreToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDepartures()
		become := func(state metadata.BrokerState) { d.MetadataChanged(brokers(t, 2, state), []int32{2}) }
		want := func(mourned bool, when string) {
			t.Helper()
			if d.mourns(2) != mourned {
				t.Errorf("%s it is %v that the broker is told of, want %v", when, !mourned, mourned)
			}
		}
		become(metadata.BrokerState{Fenced: true})
		want(false, "before it was ever up")
		become(metadata.BrokerState{})
		become(metadata.BrokerState{Fenced: true})
		want(true, "when it has died")
		become(metadata.BrokerState{Fenced: true})
		time.Sleep(mourning)
		want(false, "after a while")
		become(metadata.BrokerState{})
		become(metadata.BrokerState{Fenced: true})
		become(metadata.BrokerState{})
		want(false, "as one that is gone, when it is back")
		become(metadata.BrokerState{Fenced: true})
		d.MetadataChanged(nobody(t), []int32{2})
		want(false, "when it is unregistered")
	})
}

func waited(ctx context.Context, d *Departures, leaders ...int32) time.Duration {
	began := time.Now()
	d.await(ctx, func(node int32) bool { return slices.Contains(leaders, node) })
	return time.Since(began)
}

func nobody(t *testing.T) *metadata.Image { return after(t) }

// brokers is the metadata of a cluster with one broker.
func brokers(t *testing.T, id int32, state metadata.BrokerState) *metadata.Image {
	return after(t, &metadata.BrokerRegistered{Broker: metadata.Broker{ID: id, Epoch: 1, BrokerState: state}})
}

func after(t *testing.T, records ...metadata.Record) *metadata.Image {
	t.Helper()
	img, _, err := metadata.Empty().Apply(records)
	if err != nil {
		t.Fatal(err)
	}
	return img
}
