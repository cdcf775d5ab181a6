package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// AlterPartition decides on the in-sync replicas that leaders report. What a leader
// says counts only if it leads, knows the partition's last change, and names
// replicas whose brokers are active and the ones that it means.
func (*Controller) AlterPartition(img *metadata.Image, req *kmsg.AlterPartitionRequest, in Inputs) ([]metadata.Record, *kmsg.AlterPartitionResponse) {
	resp := req.ResponseKind().(*kmsg.AlterPartitionResponse)
	if _, err := checkBrokerEpoch(img, req.BrokerID, req.BrokerEpoch); err != nil {
		resp.ErrorCode, _ = answer(err)
		return nil, resp
	}
	a := alterPartition{edit: newEdit(img, in), req: req}
	for _, wanted := range req.Topics {
		resp.Topics = append(resp.Topics, a.topic(&wanted))
	}
	return a.edit.records, resp
}

type alterPartition struct {
	edit *edit
	req  *kmsg.AlterPartitionRequest
}

func (a *alterPartition) topic(wanted *kmsg.AlterPartitionRequestTopic) kmsg.AlterPartitionResponseTopic {
	told := kmsg.NewAlterPartitionResponseTopic()
	told.Topic, told.TopidID = wanted.Topic, wanted.TopicID
	t, found := a.edit.img.TopicByID(wanted.TopicID)
	unknown := kerr.UnknownTopicID
	if a.req.Version < 2 {
		t, found = a.edit.img.Topic(wanted.Topic)
		unknown = kerr.UnknownTopicOrPartition
	}
	for i := range wanted.Partitions {
		p := &wanted.Partitions[i]
		if !found {
			told.Partitions = append(told.Partitions, kmsg.AlterPartitionResponseTopicPartition{Partition: p.Partition, ErrorCode: unknown.Code})
			continue
		}
		told.Partitions = append(told.Partitions, a.partition(t, p))
	}
	return told
}

func (a *alterPartition) partition(t *metadata.Topic, wanted *kmsg.AlterPartitionRequestTopicPartition) kmsg.AlterPartitionResponseTopicPartition {
	told := kmsg.NewAlterPartitionResponseTopicPartition()
	told.Partition = wanted.Partition
	was, err := a.current(t, wanted)
	if err != nil {
		told.ErrorCode, _ = answer(err)
		return told
	}
	d := a.edit.draft(t, was)
	d.isr = ids(newISR(a.req.Version, wanted))
	d.recovers = wanted.LeaderRecoveryState != 0
	next, changed := d.finish()
	if changed {
		a.edit.change(t, wanted.Partition, next)
	}
	if next.Leader != a.req.BrokerID {
		told.ErrorCode = kerr.NewLeaderElected.Code // the change ended a move away from this leader
		if a.req.Version < 2 {
			told.ErrorCode = kerr.FencedLeaderEpoch.Code
		}
		return told
	}
	told.LeaderID, told.LeaderEpoch, told.PartitionEpoch = next.Leader, next.LeaderEpoch, next.PartitionEpoch
	told.ISR = next.ISR
	if next.Recovering {
		told.LeaderRecoveryState = 1
	}
	return told
}

// current returns the partition if the leader's wish may be granted.
func (a *alterPartition) current(t *metadata.Topic, wanted *kmsg.AlterPartitionRequestTopicPartition) (*metadata.Partition, error) {
	p := a.edit.partition(t, wanted.Partition)
	if p == nil {
		return nil, kerr.UnknownTopicOrPartition
	}
	if err := a.checkEpochs(p, wanted); err != nil {
		return nil, err
	}
	isr := newISR(a.req.Version, wanted)
	if err := checkISR(p, ids(isr), wanted.LeaderRecoveryState); err != nil {
		return nil, err
	}
	return p, a.checkEligible(p, isr)
}

func (a *alterPartition) checkEpochs(p *metadata.Partition, wanted *kmsg.AlterPartitionRequestTopicPartition) error {
	switch {
	case wanted.LeaderEpoch > p.LeaderEpoch || wanted.PartitionEpoch > p.PartitionEpoch:
		return kerr.NotController // the leader knows of a later decision than this controller
	case wanted.LeaderEpoch < p.LeaderEpoch:
		return kerr.FencedLeaderEpoch
	case a.req.BrokerID != p.Leader:
		return kerr.InvalidRequest
	case wanted.PartitionEpoch < p.PartitionEpoch:
		return kerr.InvalidUpdateVersion
	}
	return nil
}

func checkISR(p *metadata.Partition, isr []int32, recovery int8) error {
	sorted := slices.Sorted(slices.Values(isr))
	switch {
	case len(isr) == 0 || len(slices.Compact(sorted)) < len(isr) || !containsAll(p.Replicas, isr):
		return kerr.InvalidRequest
	case !slices.Contains(isr, p.Leader):
		return kerr.InvalidRequest
	case recovery != 0 && (len(isr) > 1 || !p.Recovering):
		return kerr.InvalidRequest
	}
	return nil
}

// checkEligible refuses replicas whose broker is not active, has restarted since, or
// has lost the log dir.
func (a *alterPartition) checkEligible(p *metadata.Partition, isr []kmsg.AlterPartitionRequestTopicPartitionNewEpochISR) error {
	for _, r := range isr {
		b, found := a.edit.img.Broker(r.BrokerID)
		if found && b.Active() && (r.BrokerEpoch == -1 || r.BrokerEpoch == b.Epoch) && !slices.Contains(p.Offline(), r.BrokerID) {
			continue
		}
		if a.req.Version > 1 {
			return kerr.IneligibleReplica
		}
		return kerr.OperationNotAttempted
	}
	return nil
}

// newISR returns the ISR that a leader reports; up to version 2 without the epochs of
// its brokers.
func newISR(version int16, wanted *kmsg.AlterPartitionRequestTopicPartition) []kmsg.AlterPartitionRequestTopicPartitionNewEpochISR {
	if version > 2 {
		return wanted.NewEpochISR
	}
	var isr []kmsg.AlterPartitionRequestTopicPartitionNewEpochISR
	for _, id := range wanted.NewISR {
		isr = append(isr, kmsg.AlterPartitionRequestTopicPartitionNewEpochISR{BrokerID: id, BrokerEpoch: -1})
	}
	return isr
}

func ids(isr []kmsg.AlterPartitionRequestTopicPartitionNewEpochISR) []int32 {
	var all []int32
	for _, r := range isr {
		all = append(all, r.BrokerID)
	}
	return all
}
