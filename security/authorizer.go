// Package security says who may do what. Every request carries a [Principal]
// and passes one [Authorizer] before anything is read or changed: [AllowAll] where
// there is no access control, else [Standard], which decides by the cluster's [ACL]s.
package security

import "strconv"

// Principal is who a connection acts as.
type Principal struct {
	Type string // "User", or NodeType
	Name string
}

// NodeType is the type of the principals of the cluster's own nodes, which no client
// can have.
const NodeType = "Node"

// Node is the principal of a connection that one of the cluster's nodes made.
func Node(id int32) Principal {
	return Principal{Type: NodeType, Name: strconv.Itoa(int(id))}
}

// Anonymous is the principal of a connection that has not authenticated.
var Anonymous = Principal{Type: "User", Name: "ANONYMOUS"}

// String returns Kafka's form, "User:ANONYMOUS".
func (p Principal) String() string { return p.Type + ":" + p.Name }

// Operation is what a request does to a resource; the numbers are Kafka's ACL
// operations (KIP-140).
type Operation int8

// Operations, numbered as in Kafka's AclOperation.
const (
	Read            Operation = 3
	Write           Operation = 4
	Create          Operation = 5
	Delete          Operation = 6
	Alter           Operation = 7
	Describe        Operation = 8
	ClusterAction   Operation = 9
	DescribeConfigs Operation = 10
	AlterConfigs    Operation = 11
	IdempotentWrite Operation = 12
	CreateTokens    Operation = 13
	DescribeTokens  Operation = 14
	TwoPhaseCommit  Operation = 15
)

// ResourceType is the kind of a resource; the numbers are Kafka's.
type ResourceType int8

// Resource types, numbered as in Kafka's ResourceType.
const (
	Topic           ResourceType = 2
	Group           ResourceType = 3
	Cluster         ResourceType = 4
	TransactionalID ResourceType = 5
	DelegationToken ResourceType = 6
	User            ResourceType = 7
)

// Resource is what an operation is done to.
type Resource struct {
	Type ResourceType
	Name string
}

// ClusterResource is the one resource of type [Cluster].
var ClusterResource = Resource{Type: Cluster, Name: "kafka-cluster"}

// Authorizer decides. Implementations are safe for concurrent use and fast: the
// produce path asks once for each topic of a request.
type Authorizer interface {
	// Allowed reports whether who, connected from host, may do op to res.
	Allowed(who Principal, host string, op Operation, res Resource) bool
	// AllowedSomewhere reports whether who may do op to some resource of a type, be there
	// one or not. It is slower than Allowed.
	AllowedSomewhere(who Principal, host string, op Operation, kind ResourceType) bool
	// Ready reports whether it knows enough to decide.
	Ready() bool
}

// AllowAll is the authorizer of a broker without access control.
type AllowAll struct{}

// Allowed always reports true.
func (AllowAll) Allowed(Principal, string, Operation, Resource) bool { return true }

// AllowedSomewhere always reports true.
func (AllowAll) AllowedSomewhere(Principal, string, Operation, ResourceType) bool { return true }

// Ready always reports true.
func (AllowAll) Ready() bool { return true }
