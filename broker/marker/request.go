package marker

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol"
)

const (
	// maxParcels bounds the markers of one request.
	maxParcels = 1000
	// sendPatience is how long a node may take for its answer. Its followers are waited
	// for there.
	sendPatience = 10 * time.Second
)

// send sends one request and sees to the answer.
func (d *Delivery) send(ctx context.Context, node int32, batch []*parcel) {
	req, parcels := request(batch)
	answer, err := d.deps.Send(ctx, node, req)
	if err != nil {
		err = fmt.Errorf("send markers to node %d: %w", node, err)
	}
	resp, is := answer.(*kmsg.WriteTxnMarkersResponse)
	if err == nil && !is {
		err = fmt.Errorf("node %d answered markers with %T: %w", node, answer, kerr.UnknownServerError)
	}
	for i, of := range parcels {
		codes := map[protocol.TopicPartition]int16{}
		if err == nil && i < len(resp.Markers) {
			codes = codesOf(&resp.Markers[i])
		}
		for _, p := range of {
			d.brought(p, outcome(codes, p.tp, err))
		}
	}
}

func codesOf(m *kmsg.WriteTxnMarkersResponseMarker) map[protocol.TopicPartition]int16 {
	codes := map[protocol.TopicPartition]int16{}
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			codes[protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}] = p.ErrorCode
		}
	}
	return codes
}

// outcome is what became of the marker for one partition; err of all of the request.
func outcome(codes map[protocol.TopicPartition]int16, tp protocol.TopicPartition, err error) error {
	code, answered := codes[tp]
	switch {
	case err != nil:
		return err
	case !answered:
		return fmt.Errorf("the leader's answer leaves it out: %w", kerr.UnknownServerError)
	}
	return kerr.ErrorForCode(code)
}

// request puts parcels into a request, and returns those of each of its markers.
func request(batch []*parcel) (*kmsg.WriteTxnMarkersRequest, [][]*parcel) {
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	req.Version = 2
	at, parcels := map[step.Marker]int{}, [][]*parcel{}
	for _, p := range batch {
		i, found := at[p.marker]
		if !found {
			i = len(req.Markers)
			at[p.marker] = i
			req.Markers, parcels = append(req.Markers, wired(p.marker)), append(parcels, nil)
		}
		add(&req.Markers[i], p.tp)
		parcels[i] = append(parcels[i], p)
	}
	return req, parcels
}

func wired(m step.Marker) kmsg.WriteTxnMarkersRequestMarker {
	w := kmsg.NewWriteTxnMarkersRequestMarker()
	w.ProducerID, w.ProducerEpoch, w.CoordinatorEpoch = m.ProducerID, m.ProducerEpoch, m.CoordinatorEpoch
	w.Committed, w.TransactionVersion = m.Commit, int8(m.Version)
	return w
}

func add(m *kmsg.WriteTxnMarkersRequestMarker, tp protocol.TopicPartition) {
	for i := range m.Topics {
		if t := &m.Topics[i]; t.Topic == tp.Topic {
			t.Partitions = append(t.Partitions, tp.Partition)
			return
		}
	}
	t := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
	t.Topic, t.Partitions = tp.Topic, []int32{tp.Partition}
	m.Topics = append(m.Topics, t)
}
