package security

import "testing"

// The numbers and words are Kafka's: they go over the wire, and stand in what
// operators write.
func TestNumbersAreThoseOfKafka(t *testing.T) {
	operations := map[Operation]int8{
		Read: 3, Write: 4, Create: 5, Delete: 6, Alter: 7, Describe: 8, ClusterAction: 9, DescribeConfigs: 10, AlterConfigs: 11, IdempotentWrite: 12,
		All: 2, CreateTokens: 13, DescribeTokens: 14, TwoPhaseCommit: 15,
	}
	for op, number := range operations {
		if int8(op) != number {
			t.Errorf("operation %d should be %d", op, number)
		}
	}
	types := map[ResourceType]int8{Topic: 2, Group: 3, Cluster: 4, TransactionalID: 5, DelegationToken: 6, User: 7}
	for kind, number := range types {
		if int8(kind) != number {
			t.Errorf("resource type %d should be %d", kind, number)
		}
	}
	if ClusterResource != (Resource{Type: Cluster, Name: "kafka-cluster"}) {
		t.Errorf("the cluster is %+v", ClusterResource)
	}
	if got := Anonymous.String(); got != "User:ANONYMOUS" {
		t.Errorf("who has not said who he is, is %q", got)
	}
}

// TestAllowAll: without access control everyone may do everything, but nobody is
// anybody else.
func TestAllowAll(t *testing.T) {
	var a Authorizer = AllowAll{}
	for op := Read; op <= IdempotentWrite; op++ {
		for _, res := range []Resource{{Topic, "t"}, {Group, ""}, ClusterResource, {TransactionalID, "x"}} {
			if !a.Allowed(Anonymous, "127.0.0.1", op, res) {
				t.Errorf("operation %d on %+v is refused", op, res)
			}
		}
	}
}
