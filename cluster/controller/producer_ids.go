package controller

import (
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// ProducerIDBlock is how many producer ids are handed out at a time, so that a
// new producer rarely costs a write.
const ProducerIDBlock = 1000

// AllocateProducerIDs hands out the ProducerIDBlock ids from first on. None of
// them was or will be handed out again.
func (*Controller) AllocateProducerIDs(img *metadata.Image) (records []metadata.Record, first int64, err error) {
	first = img.NextProducerID
	if first > math.MaxInt64-ProducerIDBlock {
		return nil, 0, fmt.Errorf("producer ids are used up: the next would be %d", first)
	}
	return []metadata.Record{&metadata.ProducerIDsAllocated{Next: first + ProducerIDBlock}}, first, nil
}

// AllocateProducerIDsTo is [Controller.AllocateProducerIDs] for a broker that asks the
// active controller.
func (c *Controller) AllocateProducerIDsTo(img *metadata.Image, req *kmsg.AllocateProducerIDsRequest) ([]metadata.Record, *kmsg.AllocateProducerIDsResponse) {
	resp := req.ResponseKind().(*kmsg.AllocateProducerIDsResponse)
	var records []metadata.Record
	_, err := checkBrokerEpoch(img, req.BrokerID, req.BrokerEpoch)
	if err == nil {
		records, resp.ProducerIDStart, err = c.AllocateProducerIDs(img)
	}
	if err != nil {
		resp.ErrorCode, _ = answer(err)
		return nil, resp
	}
	resp.ProducerIDLen = ProducerIDBlock
	return records, resp
}
