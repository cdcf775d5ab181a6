package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// AlterPartitionReassignments begins to move partitions to other brokers, or takes
// back a move that is under way. A move goes in steps: the new replicas join the old
// ones; the leader takes each into the ISR when it has caught up; then those that are
// to go are dropped. Where nothing has to be copied it is done at once.
func (*Controller) AlterPartitionReassignments(img *metadata.Image, req *kmsg.AlterPartitionAssignmentsRequest, in Inputs) ([]metadata.Record, *kmsg.AlterPartitionAssignmentsResponse) {
	resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
	if len(req.Topics) == 0 {
		resp.ErrorMessage = new(string) // as Kafka: it is null elsewhere
	}
	e := newEdit(img, in)
	for _, topic := range req.Topics {
		told := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		told.Topic = topic.Topic
		for i := range topic.Partitions {
			p := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			p.Partition = topic.Partitions[i].Partition
			err := reassign(e, topic.Topic, &topic.Partitions[i], req.Version < 1 || req.AllowReplicationFactorChange)
			p.ErrorCode, p.ErrorMessage = answer(err)
			told.Partitions = append(told.Partitions, p)
		}
		resp.Topics = append(resp.Topics, told)
	}
	return e.records, resp
}

func reassign(e *edit, topic string, wanted *kmsg.AlterPartitionAssignmentsRequestTopicPartition, mayResize bool) error {
	t, found := e.img.Topic(topic)
	if !found {
		return refuse(kerr.UnknownTopicOrPartition, "Unable to find a topic named %s.", topic)
	}
	p := e.partition(t, wanted.Partition)
	switch {
	case p == nil:
		return refuse(kerr.UnknownTopicOrPartition, "Unable to find partition %s:%d.", topic, wanted.Partition)
	case e.full():
		return errTooMany
	case wanted.Replicas == nil:
		return cancelMove(e, t, wanted.Partition, p)
	}
	return beginMove(e, t, wanted, p, mayResize)
}

func beginMove(e *edit, t *metadata.Topic, wanted *kmsg.AlterPartitionAssignmentsRequestTopicPartition, p *metadata.Partition, mayResize bool) error {
	target := slices.Clone(wanted.Replicas)
	if err := checkReplicas(e.img, target, 0); err != nil {
		return err
	}
	if has := len(p.Replicas) - len(p.Removing()); !mayResize && has != len(target) {
		return refuse(kerr.InvalidReplicationFactor, "The replication factor is changed from %d to %d", has, len(target))
	}
	d := e.draft(t, p)
	move(d, target)
	if next, changed := d.finish(); changed {
		e.change(t, wanted.Partition, next)
	}
	return nil
}

// move turns a partition towards its target. A replica that an earlier move adds, and
// that is not in the target, is on its way in and out at once, so that a cancelled
// move ends where the first began.
func move(d *draft, target []int32) {
	before := without(d.replicas, d.state.Adding)
	removing := without(d.replicas, target)
	slices.Sort(removing)
	d.replicas = slices.Concat(target, removing)
	d.state.Adding = without(d.replicas, before)
	d.state.Removing = removing
}

func cancelMove(e *edit, t *metadata.Topic, index int32, p *metadata.Partition) error {
	if !p.Moving() {
		return refuse(kerr.NoReassignmentInProgress, "")
	}
	d := e.draft(t, p)
	d.replicas, d.isr = without(p.Replicas, p.Adding()), without(p.ISR, p.Adding())
	d.state.Adding, d.state.Removing = nil, nil
	next, _ := d.finish()
	if next.Leader < 0 && p.Leader >= 0 {
		return refuse(kerr.InvalidReplicaAssignment, "Unable to revert partition assignment for %s:%d because it would require an unclean leader election.", t.Name, index)
	}
	e.change(t, index, next)
	return nil
}

// ListPartitionReassignments tells of the moves under way, of all or of the given
// partitions.
func (*Controller) ListPartitionReassignments(img *metadata.Image, req *kmsg.ListPartitionReassignmentsRequest) *kmsg.ListPartitionReassignmentsResponse {
	resp := req.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
	list := func(t *metadata.Topic, partitions []int32) {
		if moves := movesOf(t, partitions); len(moves) > 0 {
			told := kmsg.NewListPartitionReassignmentsResponseTopic()
			told.Topic, told.Partitions = t.Name, moves
			resp.Topics = append(resp.Topics, told)
		}
	}
	if req.Topics == nil {
		for t := range img.Topics() {
			list(t, indexes(t))
		}
	}
	for _, wanted := range req.Topics {
		if t, found := img.Topic(wanted.Topic); found {
			list(t, wanted.Partitions)
		}
	}
	return resp
}

func movesOf(t *metadata.Topic, partitions []int32) []kmsg.ListPartitionReassignmentsResponseTopicPartition {
	var moves []kmsg.ListPartitionReassignmentsResponseTopicPartition
	for _, index := range partitions {
		if index < 0 || int(index) >= len(t.Partitions) || !t.Partitions[index].Moving() {
			continue
		}
		p := &t.Partitions[index]
		told := kmsg.NewListPartitionReassignmentsResponseTopicPartition()
		told.Partition, told.Replicas, told.AddingReplicas, told.RemovingReplicas = index, p.Replicas, p.Adding(), p.Removing()
		moves = append(moves, told)
	}
	return moves
}
