package api

import (
	"math"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/security"
)

// operationsNotAsked is what stands for a resource's operations where the client
// did not ask for them (KIP-430).
const operationsNotAsked = math.MinInt32

var (
	topicOperations = []security.Operation{
		security.Read, security.Write, security.Create, security.Delete, security.Alter, security.Describe,
		security.DescribeConfigs, security.AlterConfigs,
	}
	clusterOperations = []security.Operation{
		security.Create, security.Alter, security.Describe, security.ClusterAction,
		security.DescribeConfigs, security.AlterConfigs, security.IdempotentWrite,
	}
	groupOperations = []security.Operation{
		security.Read, security.Delete, security.Describe, security.DescribeConfigs, security.AlterConfigs,
	}
)

// operations returns what the client may do to res, a bit for each operation.
func (h *Handler) operations(r *listener.Request, asked bool, res security.Resource, all []security.Operation) int32 {
	if !asked {
		return operationsNotAsked
	}
	bits := int32(0)
	for _, op := range all {
		if h.may(r, op, res) {
			bits |= 1 << op
		}
	}
	return bits
}
