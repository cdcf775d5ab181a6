package controller

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// ElectLeaders elects leaders that a client asks for: the preferred ones, or with
// election type 1 any replica that is up where a partition has no leader, even
// though acknowledged records may be lost. Of all partitions only those are told of
// that needed an election.
func (*Controller) ElectLeaders(img *metadata.Image, req *kmsg.ElectLeadersRequest, in Inputs) ([]metadata.Record, *kmsg.ElectLeadersResponse) {
	if req.ElectionType != 0 && req.ElectionType != 1 {
		return nil, NobodyElected(req, refuse(kerr.InvalidRequest, "Unknown election type %d", req.ElectionType))
	}
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	e := &electLeaders{edit: newEdit(img, in), unclean: req.ElectionType == 1, response: resp}
	if req.Topics == nil {
		for t := range img.Topics() {
			e.topic(t.Name, indexes(t), true)
		}
	}
	for _, wanted := range req.Topics {
		e.topic(wanted.Topic, wanted.Partitions, false)
	}
	return e.edit.records, resp
}

// NobodyElected answers that no election took place at all.
func NobodyElected(req *kmsg.ElectLeadersRequest, err error) *kmsg.ElectLeadersResponse {
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	resp.ErrorCode, _ = answer(err)
	for _, asked := range req.Topics {
		told := kmsg.NewElectLeadersResponseTopic()
		told.Topic = asked.Topic
		for _, index := range asked.Partitions {
			p := kmsg.NewElectLeadersResponseTopicPartition()
			p.Partition = index
			p.ErrorCode, p.ErrorMessage = answer(err)
			told.Partitions = append(told.Partitions, p)
		}
		resp.Topics = append(resp.Topics, told)
	}
	return resp
}

func indexes(t *metadata.Topic) []int32 {
	all := make([]int32, len(t.Partitions))
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

type electLeaders struct {
	edit     *edit
	unclean  bool
	response *kmsg.ElectLeadersResponse
}

func (e *electLeaders) topic(name string, partitions []int32, all bool) {
	told := kmsg.NewElectLeadersResponseTopic()
	told.Topic = name
	for _, index := range partitions {
		err := e.partition(name, index)
		if all && errors.Is(err, kerr.ElectionNotNeeded) {
			continue
		}
		p := kmsg.NewElectLeadersResponseTopicPartition()
		p.Partition = index
		p.ErrorCode, p.ErrorMessage = answer(err)
		told.Partitions = append(told.Partitions, p)
	}
	e.response.Topics = append(e.response.Topics, told)
}

var errNotNeeded = refuse(kerr.ElectionNotNeeded, "Leader election not needed for topic partition.")

func (e *electLeaders) partition(name string, index int32) error {
	t, found := e.edit.img.Topic(name)
	if !found {
		return refuse(kerr.UnknownTopicOrPartition, "No such topic as %s", name)
	}
	p := e.edit.partition(t, index)
	switch {
	case p == nil:
		return refuse(kerr.UnknownTopicOrPartition, "No such partition as %s-%d", name, index)
	case e.unclean && p.Leader >= 0, !e.unclean && p.Leader == p.Replicas[0]:
		return errNotNeeded
	case e.edit.full():
		return errTooMany
	}
	d := e.edit.draft(t, p)
	d.election = preferredLeader
	if e.unclean {
		d.election = uncleanLeader
	}
	next, changed := d.finish()
	switch {
	case changed:
		e.edit.change(t, index, next)
		return nil
	case e.unclean:
		return refuse(kerr.EligibleLeadersNotAvailable, "Eligible topic partition leaders are not available.")
	}
	return refuse(kerr.PreferredLeaderNotAvailable, "The preferred leader was not available.")
}

// ElectLeaderless elects leaders for partitions that have none, where that became
// possible without their broker coming back: unclean elections were allowed, or an
// earlier decision did not hold them all. more says that there may be others.
func (*Controller) ElectLeaderless(img *metadata.Image, in Inputs) (records []metadata.Record, more bool) {
	return newSweep(img, in).run(leaderless, func(*draft) {})
}
