package group

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// leaveConsumer takes a member out, or notes that a static one will be back.
func (c *Coordinator) leaveConsumer(req *kmsg.ConsumerGroupHeartbeatRequest, to Ticket, now time.Time, out *Output) error {
	d, err := c.draftForMember(req.Group, false, now, out)
	if err != nil {
		return err
	}
	m := d.group.members[req.MemberID]
	if req.InstanceID != nil {
		m = d.group.staticMember(*req.InstanceID)
		err = fenced(m, claim{id: req.MemberID, instanceID: req.InstanceID})
	} else if m == nil {
		err = fmt.Errorf("%s is not a member of group %s: %w", req.MemberID, req.Group, kerr.UnknownMemberID)
	}
	if err != nil {
		return err
	}
	if req.MemberEpoch == leaveStaticEpoch {
		d.pause(m)
	} else {
		d.fence([]*consumerMember{m})
	}
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.MemberID, resp.MemberEpoch = &req.MemberID, req.MemberEpoch
	d.finish(out, func(err error) []Reply {
		if err != nil {
			return []Reply{{To: to, Response: heartbeatError(err)}}
		}
		return []Reply{{To: to, Response: resp, Failed: heartbeatError(kerr.NotCoordinator)}}
	})
	return nil
}

// pause lets a static member go for a while. It keeps its partitions until its
// session ends, and its commits so far do not count against its next instance.
func (d *draft) pause(old *consumerMember) {
	m := old.clone()
	m.epoch, m.assigned, m.revoking = leaveStaticEpoch, gotAt(old.assigned.only(), 0), held{}
	d.putCurrent(m)
}

// fence takes members out. If all that are left speak the classic protocol, the
// group becomes a classic one, where that may be.
func (d *draft) fence(members []*consumerMember) {
	if d.downgradeWithout(members) {
		return
	}
	for _, m := range members {
		d.eraseMember(m.id)
	}
	for _, m := range members {
		if _, known := d.group.regexes[m.regex]; known && d.group.using(m.regex) == 0 {
			d.erase(regexKey, m.regex)
		}
	}
	d.putEpoch(d.group.epoch+1, d.hashOf(d.group.topics()))
}
