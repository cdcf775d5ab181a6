package metadata

import (
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// Record is one step in the history of the metadata. Its types are those of
// this package; [Encode] and [Decode] are their form in the metadata log, which
// docs/formats/metadata-records.md draws.
type Record interface {
	kind() recordType
	encode(*encoder)
	decode(*decoder)
	apply(*change) error
}

// recordType is the first byte of a record. A number that was given once is
// never given again.
type recordType uint8

const (
	typeClusterNamed           recordType = 1
	typeControllerElected      recordType = 2
	typeBrokerRegistered       recordType = 3
	typeTopicCreated           recordType = 4
	typePartitionsAdded        recordType = 5
	typePartitionsChanged      recordType = 6
	typeTopicDeleted           recordType = 7
	typeConfigSet              recordType = 8
	typeProducerIDsAllocated   recordType = 9
	typeFeatureLevelSet        recordType = 10
	typeVoterAdded             recordType = 11
	typeVoterRemoved           recordType = 12
	typeBrokerChanged          recordType = 13
	typeBrokerUnregistered     recordType = 14
	typeBrokerEpochsGiven      recordType = 15
	typeVoterJoining           recordType = 16
	typeAccessControlAdded     recordType = 17
	typeAccessControlRemoved   recordType = 18
	typeScramCredentialSet     recordType = 30
	typeScramCredentialRemoved recordType = 31
	typeQuotaSet               recordType = 40
)

// newRecord returns an empty record of a type, nil for a type not known here.
func newRecord(t recordType) Record {
	switch t {
	case typeClusterNamed:
		return new(ClusterNamed)
	case typeControllerElected:
		return new(ControllerElected)
	case typeBrokerRegistered:
		return new(BrokerRegistered)
	case typeTopicCreated:
		return new(TopicCreated)
	case typePartitionsAdded:
		return new(PartitionsAdded)
	case typePartitionsChanged:
		return new(PartitionsChanged)
	case typeTopicDeleted:
		return new(TopicDeleted)
	case typeConfigSet:
		return new(ConfigSet)
	case typeProducerIDsAllocated:
		return new(ProducerIDsAllocated)
	case typeFeatureLevelSet:
		return new(FeatureLevelSet)
	case typeVoterAdded:
		return new(VoterAdded)
	case typeVoterRemoved:
		return new(VoterRemoved)
	case typeBrokerChanged:
		return new(BrokerChanged)
	case typeBrokerUnregistered:
		return new(BrokerUnregistered)
	case typeBrokerEpochsGiven:
		return new(BrokerEpochsGiven)
	case typeVoterJoining:
		return new(VoterJoining)
	case typeAccessControlAdded:
		return new(AccessControlAdded)
	case typeAccessControlRemoved:
		return new(AccessControlRemoved)
	case typeScramCredentialSet:
		return new(ScramCredentialSet)
	case typeScramCredentialRemoved:
		return new(ScramCredentialRemoved)
	case typeQuotaSet:
		return new(QuotaSet)
	}
	return nil
}

// ClusterNamed gives the cluster its id, once.
type ClusterNamed struct{ ClusterID string }

// ControllerElected says which broker decides from here on.
type ControllerElected struct{ BrokerID int32 }

// BrokerRegistered adds a broker, or replaces what was known of it.
type BrokerRegistered struct{ Broker Broker }

// TopicCreated adds a topic with its first partitions.
type TopicCreated struct{ Topic Topic }

// PartitionsAdded adds partitions to a topic. First is the index of the first
// new one, which is how many there were before.
type PartitionsAdded struct {
	TopicID    protocol.TopicID
	First      int32
	Partitions []Partition
}

// PartitionsChanged replaces what is known of some partitions of a topic.
type PartitionsChanged struct {
	TopicID protocol.TopicID
	Changes []PartitionChange
}

// PartitionChange is one partition as it is from here on.
type PartitionChange struct {
	Index     int32
	Partition Partition
}

// TopicDeleted takes away a topic, its partitions and its configs.
type TopicDeleted struct{ TopicID protocol.TopicID }

// ConfigSet sets one config of a resource, or with a nil Value takes it back.
type ConfigSet struct {
	Resource Resource
	Name     string
	Value    *string
}

// ProducerIDsAllocated says that all producer ids below Next are handed out.
type ProducerIDsAllocated struct{ Next int64 }

// FeatureLevelSet finalizes a feature at a level; 0 takes it away.
type FeatureLevelSet struct {
	Name  string
	Level int16
}

// VoterAdded lets a node vote on the metadata, or replaces its endpoints.
type VoterAdded struct{ Voter Voter }

// VoterRemoved takes the vote away from a node, or ends that it is joining.
type VoterRemoved struct {
	ID          int32
	DirectoryID [16]byte
}

// VoterJoining lets a node have what is decided, so that it can vote once it has
// all.
type VoterJoining struct{ Voter Voter }

// BrokerChanged says how a broker is from here on. Epoch is that of its
// registration.
type BrokerChanged struct {
	ID    int32
	Epoch int64
	State BrokerState
}

// BrokerUnregistered takes a broker out of the cluster. Epoch is that of its
// registration.
type BrokerUnregistered struct {
	ID    int32
	Epoch int64
}

// BrokerEpochsGiven says that all broker epochs up to Last were given, whether or
// not the brokers that had them are still registered.
type BrokerEpochsGiven struct{ Last int64 }

// AccessControlAdded adds an ACL that there was not.
type AccessControlAdded struct{ ACL security.ACL }

// AccessControlRemoved takes an ACL away.
type AccessControlRemoved struct{ ACL security.ACL }

// QuotaSet sets one quota of an entity, or with a nil Value takes it back.
type QuotaSet struct {
	Entity QuotaEntity
	Key    string // producer_byte_rate
	Value  *float64
}

func (*ClusterNamed) kind() recordType         { return typeClusterNamed }
func (*ControllerElected) kind() recordType    { return typeControllerElected }
func (*BrokerRegistered) kind() recordType     { return typeBrokerRegistered }
func (*TopicCreated) kind() recordType         { return typeTopicCreated }
func (*PartitionsAdded) kind() recordType      { return typePartitionsAdded }
func (*PartitionsChanged) kind() recordType    { return typePartitionsChanged }
func (*TopicDeleted) kind() recordType         { return typeTopicDeleted }
func (*ConfigSet) kind() recordType            { return typeConfigSet }
func (*ProducerIDsAllocated) kind() recordType { return typeProducerIDsAllocated }
func (*FeatureLevelSet) kind() recordType      { return typeFeatureLevelSet }
func (*VoterAdded) kind() recordType           { return typeVoterAdded }
func (*VoterRemoved) kind() recordType         { return typeVoterRemoved }
func (*BrokerChanged) kind() recordType        { return typeBrokerChanged }
func (*BrokerUnregistered) kind() recordType   { return typeBrokerUnregistered }
func (*BrokerEpochsGiven) kind() recordType    { return typeBrokerEpochsGiven }
func (*VoterJoining) kind() recordType         { return typeVoterJoining }
func (*AccessControlAdded) kind() recordType   { return typeAccessControlAdded }
func (*AccessControlRemoved) kind() recordType { return typeAccessControlRemoved }
func (*QuotaSet) kind() recordType             { return typeQuotaSet }
