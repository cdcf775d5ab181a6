package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/node"
)

const (
	produceKey     = int16(kmsg.Produce)
	apiVersionsKey = int16(kmsg.ApiVersions)

	saslHandshakeKey    = int16(kmsg.SASLHandshake)
	saslAuthenticateKey = int16(kmsg.SASLAuthenticate)
)

// api is one API: the versions that are served, and how.
type api struct {
	min, max int16
	serve    func(h *Handler, r *listener.Request)
}

// clientAPIs are all APIs that are served to clients, by key, and controllerAPIs
// those where controllers listen. ApiVersions tells so, but for those that only
// nodes know.
var clientAPIs, controllerAPIs map[int16]api

// The tables call functions that look at the tables.
func init() {
	clientAPIs = map[int16]api{
		node.HelloKey: serves(0, 0, (*Handler).hello),

		int16(kmsg.Produce):                      serves(3, 13, (*Handler).produce),
		int16(kmsg.Fetch):                        serves(4, 18, (*Handler).fetch),
		int16(kmsg.ListOffsets):                  serves(1, 11, (*Handler).listOffsets),
		int16(kmsg.Metadata):                     serves(0, 13, (*Handler).metadata),
		int16(kmsg.OffsetCommit):                 serves(2, 10, (*Handler).offsetCommit),
		int16(kmsg.OffsetFetch):                  serves(1, 10, (*Handler).offsetFetch),
		int16(kmsg.FindCoordinator):              serves(0, 6, (*Handler).findCoordinator),
		int16(kmsg.JoinGroup):                    serves(0, 9, (*Handler).joinGroup),
		int16(kmsg.Heartbeat):                    serves(0, 4, (*Handler).heartbeat),
		int16(kmsg.LeaveGroup):                   serves(0, 5, (*Handler).leaveGroup),
		int16(kmsg.SyncGroup):                    serves(0, 5, (*Handler).syncGroup),
		int16(kmsg.DescribeGroups):               serves(0, 6, (*Handler).describeGroups),
		int16(kmsg.ListGroups):                   serves(0, 5, (*Handler).listGroups),
		int16(kmsg.SASLHandshake):                serves(0, 1, (*Handler).saslHandshake),
		int16(kmsg.ApiVersions):                  serves(0, 4, (*Handler).apiVersions),
		int16(kmsg.CreateTopics):                 serves(2, 7, (*Handler).createTopics),
		int16(kmsg.DeleteTopics):                 serves(1, 6, (*Handler).deleteTopics),
		int16(kmsg.DeleteRecords):                serves(0, 2, (*Handler).deleteRecords),
		int16(kmsg.InitProducerID):               serves(0, 5, (*Handler).initProducerID),
		int16(kmsg.OffsetForLeaderEpoch):         serves(2, 4, (*Handler).offsetForLeaderEpoch),
		int16(kmsg.AddPartitionsToTxn):           serves(0, 5, (*Handler).addPartitionsToTxn),
		int16(kmsg.AddOffsetsToTxn):              serves(0, 4, (*Handler).addOffsetsToTxn),
		int16(kmsg.EndTxn):                       serves(0, 5, (*Handler).endTxn),
		int16(kmsg.WriteTxnMarkers):              serves(1, 2, (*Handler).writeTxnMarkers),
		int16(kmsg.TxnOffsetCommit):              serves(0, 5, (*Handler).txnOffsetCommit),
		int16(kmsg.DescribeACLs):                 serves(1, 3, (*Handler).describeACLs),
		int16(kmsg.CreateACLs):                   serves(1, 3, (*Handler).createACLs),
		int16(kmsg.DeleteACLs):                   serves(1, 3, (*Handler).deleteACLs),
		int16(kmsg.DescribeConfigs):              serves(1, 4, (*Handler).describeConfigs),
		int16(kmsg.AlterConfigs):                 serves(0, 2, (*Handler).alterConfigs),
		int16(kmsg.AlterReplicaLogDirs):          serves(1, 2, (*Handler).alterReplicaLogDirs),
		int16(kmsg.DescribeLogDirs):              serves(1, 5, (*Handler).describeLogDirs),
		int16(kmsg.SASLAuthenticate):             serves(0, 2, (*Handler).saslAuthenticate),
		int16(kmsg.CreatePartitions):             serves(0, 3, (*Handler).createPartitions),
		int16(kmsg.DeleteGroups):                 serves(0, 2, (*Handler).deleteGroups),
		int16(kmsg.IncrementalAlterConfigs):      serves(0, 1, (*Handler).incrementalAlterConfigs),
		int16(kmsg.ElectLeaders):                 serves(0, 2, (*Handler).electLeaders),
		int16(kmsg.AlterPartitionAssignments):    serves(0, 1, (*Handler).alterPartitionReassignments),
		int16(kmsg.ListPartitionReassignments):   serves(0, 0, (*Handler).listPartitionReassignments),
		int16(kmsg.OffsetDelete):                 serves(0, 0, (*Handler).offsetDelete),
		int16(kmsg.DescribeQuorum):               serves(0, 2, (*Handler).describeQuorum),
		int16(kmsg.DescribeClientQuotas):         serves(0, 1, (*Handler).describeClientQuotas),
		int16(kmsg.AlterClientQuotas):            serves(0, 1, (*Handler).alterClientQuotas),
		int16(kmsg.DescribeUserSCRAMCredentials): serves(0, 0, (*Handler).describeScramCredentials),
		int16(kmsg.AlterUserSCRAMCredentials):    serves(0, 0, (*Handler).alterScramCredentials),
		int16(kmsg.UpdateFeatures):               serves(0, 2, (*Handler).updateFeatures),
		int16(kmsg.AddRaftVoter):                 serves(0, 1, (*Handler).addRaftVoter),
		int16(kmsg.RemoveRaftVoter):              serves(0, 0, (*Handler).removeRaftVoter),
		int16(kmsg.DescribeCluster):              serves(0, 2, (*Handler).describeCluster),
		int16(kmsg.UnregisterBroker):             serves(0, 0, (*Handler).unregisterBroker),
		int16(kmsg.DescribeProducers):            serves(0, 0, (*Handler).describeProducers),
		int16(kmsg.DescribeTransactions):         serves(0, 0, (*Handler).describeTransactions),
		int16(kmsg.ListTransactions):             serves(0, 2, (*Handler).listTransactions),
		int16(kmsg.ListConfigResources):          serves(0, 1, (*Handler).listConfigResources),
		int16(kmsg.ConsumerGroupHeartbeat):       serves(0, 1, (*Handler).consumerGroupHeartbeat),
		int16(kmsg.ConsumerGroupDescribe):        serves(0, 1, (*Handler).consumerGroupDescribe),
		int16(kmsg.DescribeTopicPartitions):      serves(0, 0, (*Handler).describeTopicPartitions),
	}
	controllerAPIs = map[int16]api{
		node.HelloKey:        serves(0, 0, (*Handler).hello),
		node.ConsensusKey:    serves(0, 0, (*Handler).consensus),
		node.ReadMetadataKey: serves(0, 0, (*Handler).readMetadata),

		int16(kmsg.BrokerRegistration):   forNodes(0, 4, ActiveController.RegisterBroker),
		int16(kmsg.BrokerHeartbeat):      forNodes(1, 1, ActiveController.Heartbeat),
		int16(kmsg.AlterPartition):       forNodes(2, 3, ActiveController.AlterPartition),
		int16(kmsg.AllocateProducerIDs):  forNodes(0, 0, ActiveController.AllocateProducerIDs),
		int16(kmsg.AssignReplicasToDirs): forNodes(0, 0, ActiveController.AssignReplicasToDirs),
	}
	for _, key := range []int16{apiVersionsKey, saslHandshakeKey, saslAuthenticateKey} {
		controllerAPIs[key] = clientAPIs[key]
	}
	controllerAPIs[int16(kmsg.DescribeCluster)] = serves(1, 2, (*Handler).describeControllers)
	controllerAPIs[int16(kmsg.DescribeConfigs)] = clientAPIs[int16(kmsg.DescribeConfigs)]
	for _, key := range decidedByController {
		controllerAPIs[int16(key)] = clientAPIs[int16(key)]
	}
}

// decidedByController are the APIs of clients that the active controller answers,
// for any node that was asked, and for a client that came to it (KIP-919) because
// describeControllers told it where that is.
var decidedByController = []kmsg.Key{
	kmsg.CreateTopics, kmsg.DeleteTopics, kmsg.CreatePartitions, kmsg.AlterConfigs, kmsg.IncrementalAlterConfigs,
	kmsg.ElectLeaders, kmsg.AlterPartitionAssignments, kmsg.ListPartitionReassignments, kmsg.UnregisterBroker, kmsg.UpdateFeatures,
	kmsg.DescribeQuorum, kmsg.AddRaftVoter, kmsg.RemoveRaftVoter,
	kmsg.CreateACLs, kmsg.DeleteACLs, kmsg.DescribeACLs, kmsg.AlterClientQuotas, kmsg.AlterUserSCRAMCredentials,
}

// maxElements bounds the array elements of a request: what decoding takes beyond
// the request's own bytes.
const maxElements = 1 << 20

// serves makes a table entry of a handler. The body is proved sound before it is
// decoded, because the decoder believes its counts. Decoded strings are copies;
// byte slices alias the request's body.
func serves[R any, P interface {
	*R
	kmsg.Request
}](oldest, newest int16, handle func(*Handler, *listener.Request, P)) api {
	return api{min: oldest, max: newest, serve: func(h *Handler, r *listener.Request) {
		req := P(new(R))
		if err := decode(r, req); err != nil {
			r.Hangup(fmt.Errorf("a %s request of version %d is malformed: %w", nameOf(r.Key), r.Version, err))
			return
		}
		h.noteChange(r, req)
		handle(h, r, req)
	}}
}

func decode(r *listener.Request, into kmsg.Request) error {
	elements, err := protocol.Check(r.Key, r.Version, r.Body)
	if err != nil {
		return err
	}
	if elements > maxElements {
		return fmt.Errorf("it has %d array elements, at most %d are taken", elements, maxElements)
	}
	into.SetVersion(r.Version)
	return into.ReadFrom(r.Body)
}

func nameOf(key int16) string { return protocol.NameOf(key) }
