package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
)

// DamagedDir is the id of a log dir by which a broker says that a replica is damaged:
// some of what its disk has does not match its checksum. It is one of those that
// KIP-858 reserves.
var DamagedDir = [16]byte{15: 99}

// FullDir is the id of a log dir by which a broker says that a replica's disk is full,
// also one of those that are reserved.
var FullDir = [16]byte{15: 98}

// AssignReplicasToDirs hears of a broker in which log dir it keeps which partitions
// (KIP-858). Where everything works that changes nothing: the metadata does not keep
// it. Of a log dir that failed it is what the controller has to know: the broker
// leaves the ISR of those partitions, and does not lead them before it has started
// anew, or says that they lie in one that works.
//
// A replica in [DamagedDir] is treated the same where another one is in sync and up.
// Then a new leader epoch begins, in which nobody knows yet what the replica holds: it
// may take back what is damaged, and all behind it. Where it is the last that has
// every acknowledged record it stays, and the answer is INELIGIBLE_REPLICA. One in
// [FullDir] is, too, but what it has is sound.
func (*Controller) AssignReplicasToDirs(img *metadata.Image, req *kmsg.AssignReplicasToDirsRequest, in Inputs) ([]metadata.Record, *kmsg.AssignReplicasToDirsResponse) {
	resp := req.ResponseKind().(*kmsg.AssignReplicasToDirsResponse)
	b, err := checkBrokerEpoch(img, req.BrokerID, req.BrokerEpoch)
	if err != nil {
		resp.ErrorCode, _ = answer(err)
		return nil, resp
	}
	e := newEdit(img, in)
	for _, dir := range req.Directories {
		told := kmsg.NewAssignReplicasToDirsResponseDirectory()
		told.ID = dir.ID
		is := works
		switch {
		case dir.ID == DamagedDir:
			is = damaged
		case dir.ID == FullDir:
			is = full
		case !slices.Contains(b.LogDirs, dir.ID):
			is = failed
		}
		for _, topic := range dir.Topics {
			told.Topics = append(told.Topics, assignDir(e, b.ID, &topic, is))
		}
		resp.Directories = append(resp.Directories, told)
	}
	return e.records, resp
}

// condition is what a broker says of a replica by naming a log dir.
type condition int

const (
	works condition = iota
	failed
	damaged
	full
)

func assignDir(e *edit, broker int32, topic *kmsg.AssignReplicasToDirsRequestDirectoryTopic, is condition) kmsg.AssignReplicasToDirsResponseDirectoryTopic {
	told := kmsg.NewAssignReplicasToDirsResponseDirectoryTopic()
	told.TopicID = topic.TopicID
	t, found := e.img.TopicByID(protocol.TopicID(topic.TopicID))
	for _, wanted := range topic.Partitions {
		p := kmsg.NewAssignReplicasToDirsResponseDirectoryTopicPartition()
		p.Partition, p.ErrorCode = wanted.Partition, kerr.UnknownTopicID.Code
		if found {
			p.ErrorCode = protocol.ErrorCode(assignPartition(e, broker, t, wanted.Partition, is))
		}
		told.Partitions = append(told.Partitions, p)
	}
	return told
}

func assignPartition(e *edit, broker int32, t *metadata.Topic, index int32, is condition) error {
	p := e.partition(t, index)
	if p == nil {
		return kerr.UnknownTopicOrPartition
	}
	if !slices.Contains(p.Replicas, broker) {
		return kerr.NotLeaderForPartition
	}
	d, known := e.draft(t, p), slices.Contains(p.Offline(), broker)
	switch {
	case is == works && known:
		d.state.Offline = without(p.Offline(), []int32{broker})
	case is == failed && !known:
		d.lose(broker)
	case is == full && known:
	case (is == damaged || is == full) && !slices.ContainsFunc(without(p.ISR, []int32{broker}), d.up):
		return kerr.IneligibleReplica
	case is == full:
		d.lose(broker)
	case is == damaged:
		d.lose(broker)
		d.suspect, d.anew = []int32{broker}, true
	default:
		return nil
	}
	if next, changed := d.finish(); changed {
		e.change(t, index, next)
	}
	return nil
}

// lose takes a replica out of use whose disk does not keep what it should.
func (d *draft) lose(broker int32) {
	d.isr = without(d.isr, []int32{broker})
	d.state.Offline = append(without(d.state.Offline, []int32{broker}), broker)
}
