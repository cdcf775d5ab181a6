package controller

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol"
)

// mention is how a request names a topic it wants deleted.
type mention struct {
	name  string
	named bool
	id    protocol.TopicID
}

// deletion is a request to delete topics while it is decided.
type deletion struct {
	img      *metadata.Image
	times    map[mention]int
	byID     map[protocol.TopicID]bool // the ids that the request mentions
	byName   map[protocol.TopicID]bool // the ids of the names that it mentions once
	records  []metadata.Record
	response *kmsg.DeleteTopicsResponse
}

// DeleteTopics decides which of the topics go, named by name or from version 6
// on by id.
func (*Controller) DeleteTopics(img *metadata.Image, req *kmsg.DeleteTopicsRequest, in Inputs) ([]metadata.Record, *kmsg.DeleteTopicsResponse) {
	mentions := mentioned(req)
	d := &deletion{
		img:      img,
		times:    map[mention]int{},
		byID:     map[protocol.TopicID]bool{},
		byName:   map[protocol.TopicID]bool{},
		response: req.ResponseKind().(*kmsg.DeleteTopicsResponse),
	}
	if !in.Config.DeleteTopicEnable {
		d.refuseAll(mentions, req.Version)
		return nil, d.response
	}
	d.count(mentions)
	for _, m := range mentions {
		d.decide(m)
	}
	return d.records, d.response
}

func mentioned(req *kmsg.DeleteTopicsRequest) []mention {
	var all []mention
	if req.Version < 6 {
		for _, name := range req.TopicNames {
			all = append(all, mention{name: name, named: true})
		}
		return all
	}
	for _, t := range req.Topics {
		m := mention{id: t.TopicID}
		if t.Topic != nil {
			m.name, m.named = *t.Topic, true
		}
		all = append(all, m)
	}
	return all
}

func (d *deletion) refuseAll(mentions []mention, version int16) {
	err := refuse(kerr.TopicDeletionDisabled, "")
	if version < 3 { // from before that code
		err = refuse(kerr.InvalidRequest, "")
	}
	for _, m := range mentions {
		d.tell(m, err)
	}
}

// count takes note of what the request mentions how often.
func (d *deletion) count(mentions []mention) {
	for _, m := range mentions {
		d.times[m]++
		if !m.named {
			d.byID[m.id] = true
		}
	}
	for m, times := range d.times {
		if t, found := d.img.Topic(m.name); found && m.named && m.id.IsZero() && times == 1 {
			d.byName[t.ID] = true
		}
	}
}

func (d *deletion) decide(m mention) {
	times := d.times[m]
	d.times[m] = 0
	zero := m.id.IsZero()
	switch {
	case !m.named && zero:
		d.tell(m, refuse(kerr.InvalidRequest, "Neither topic name nor id were specified."))
	case m.named && !zero:
		d.tell(m, refuse(kerr.InvalidRequest, "You may not specify both topic name and topic id."))
	case times == 0: // came twice, and was answered the first time
	case times > 1 && m.named:
		d.tell(m, refuse(kerr.InvalidRequest, "Duplicate topic name."))
	case times > 1:
		d.tell(m, refuse(kerr.InvalidRequest, "Duplicate topic id."))
	case m.named:
		d.deleteNamed(m)
	default:
		d.deleteIdentified(m)
	}
}

func (d *deletion) deleteNamed(m mention) {
	t, found := d.img.Topic(m.name)
	if !found {
		d.tell(m, plain(kerr.UnknownTopicOrPartition))
		return
	}
	m.id = t.ID
	if d.byID[t.ID] {
		d.tell(m, refuse(kerr.InvalidRequest, "The provided topic name maps to an ID that was already supplied."))
		return
	}
	d.delete(m)
}

// deleteIdentified leaves a topic that the request names too to the answer for
// its name.
func (d *deletion) deleteIdentified(m mention) {
	t, found := d.img.TopicByID(m.id)
	switch {
	case !found:
		d.tell(m, plain(kerr.UnknownTopicID))
	case !d.byName[t.ID]:
		d.delete(mention{name: t.Name, named: true, id: t.ID})
	}
}

func (d *deletion) delete(m mention) {
	d.records = append(d.records, &metadata.TopicDeleted{TopicID: m.id})
	d.tell(m, nil)
}

func (d *deletion) tell(m mention, err error) {
	told := kmsg.NewDeleteTopicsResponseTopic()
	if m.named {
		told.Topic = &m.name
	}
	told.TopicID = m.id
	told.ErrorCode, told.ErrorMessage = answer(err)
	d.response.Topics = append(d.response.Topics, told)
}
