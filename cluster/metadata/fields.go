package metadata

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/security"
)

// The fields of each record type, in the order of their bytes.

func (r *ClusterNamed) encode(e *encoder) { e.string(r.ClusterID) }
func (r *ClusterNamed) decode(d *decoder) { r.ClusterID = d.string() }

func (r *ControllerElected) encode(e *encoder) { e.int32(r.BrokerID) }
func (r *ControllerElected) decode(d *decoder) { r.BrokerID = d.int32() }

// endpointSize is the least that an endpoint takes.
const endpointSize = 1 + 1 + 2 + 2

// featureRangeSize is the least that a feature range takes.
const featureRangeSize = 1 + 2 + 2

func (r *BrokerRegistered) encode(e *encoder) {
	b := &r.Broker
	e.int32(b.ID)
	e.int64(b.Epoch)
	e.uuid(b.Incarnation)
	e.string(b.Rack)
	e.endpoints(b.Endpoints)
	e.count(len(b.Features))
	for _, f := range b.Features {
		e.string(f.Name)
		e.int16(f.Min)
		e.int16(f.Max)
	}
	e.brokerState(&b.BrokerState)
}

func (r *BrokerRegistered) decode(d *decoder) {
	b := &r.Broker
	b.ID = d.int32()
	b.Epoch = d.int64()
	b.Incarnation = d.uuid()
	b.Rack = d.string()
	b.Endpoints = d.endpoints()
	b.Features = make([]FeatureRange, d.count(featureRangeSize))
	for i := range b.Features {
		b.Features[i] = FeatureRange{d.string(), d.int16(), d.int16()}
	}
	b.BrokerState = d.brokerState()
}

// The bits of a broker's state.
const (
	brokerFenced = 1 << iota
	brokerShutsDown
	brokerCordoned
)

func (e *encoder) brokerState(s *BrokerState) {
	e.flags(s.Fenced, s.InControlledShutdown, s.Cordoned)
	e.uuids(s.LogDirs)
	e.uuids(s.OfflineLogDirs)
}

func (d *decoder) brokerState() (s BrokerState) {
	bits := d.byte()
	s.Fenced, s.InControlledShutdown, s.Cordoned = bits&brokerFenced != 0, bits&brokerShutsDown != 0, bits&brokerCordoned != 0
	s.LogDirs = d.uuids()
	s.OfflineLogDirs = d.uuids()
	return s
}

func (e *encoder) endpoints(all []Endpoint) {
	e.count(len(all))
	for _, at := range all {
		e.string(at.Listener)
		e.string(at.Host)
		e.int16(int16(at.Port))
		e.int16(at.SecurityProtocol)
	}
}

func (d *decoder) endpoints() []Endpoint {
	all := make([]Endpoint, d.count(endpointSize))
	for i := range all {
		at := &all[i]
		at.Listener = d.string()
		at.Host = d.string()
		at.Port = uint16(d.int16())
		at.SecurityProtocol = d.int16()
	}
	return all
}

func (r *TopicCreated) encode(e *encoder) {
	e.string(r.Topic.Name)
	e.uuid(r.Topic.ID)
	e.partitions(r.Topic.Partitions)
}

func (r *TopicCreated) decode(d *decoder) {
	r.Topic.Name = d.string()
	r.Topic.ID = d.uuid()
	r.Topic.Partitions = d.partitions()
}

func (r *PartitionsAdded) encode(e *encoder) {
	e.uuid(r.TopicID)
	e.int32(r.First)
	e.partitions(r.Partitions)
}

func (r *PartitionsAdded) decode(d *decoder) {
	r.TopicID = d.uuid()
	r.First = d.int32()
	r.Partitions = d.partitions()
}

// partitionChangeSize is the least that a changed partition takes.
const partitionChangeSize = 1 + partitionSize

func (r *PartitionsChanged) encode(e *encoder) {
	e.uuid(r.TopicID)
	e.count(len(r.Changes))
	for i := range r.Changes {
		e.varint(r.Changes[i].Index)
		e.partition(&r.Changes[i].Partition)
	}
}

func (r *PartitionsChanged) decode(d *decoder) {
	r.TopicID = d.uuid()
	r.Changes = make([]PartitionChange, d.count(partitionChangeSize))
	for i := range r.Changes {
		r.Changes[i] = PartitionChange{d.varint(), d.partition()}
	}
}

func (r *TopicDeleted) encode(e *encoder) { e.uuid(r.TopicID) }
func (r *TopicDeleted) decode(d *decoder) { r.TopicID = d.uuid() }

func (r *ConfigSet) encode(e *encoder) {
	e.int16(int16(r.Resource.Type))
	e.string(r.Resource.Name)
	e.string(r.Name)
	e.nullable(r.Value)
}

func (r *ConfigSet) decode(d *decoder) {
	r.Resource.Type = kmsg.ConfigResourceType(d.int16())
	r.Resource.Name = d.string()
	r.Name = d.string()
	r.Value = d.nullable()
}

func (r *ProducerIDsAllocated) encode(e *encoder) { e.int64(r.Next) }
func (r *ProducerIDsAllocated) decode(d *decoder) { r.Next = d.int64() }

func (r *FeatureLevelSet) encode(e *encoder) {
	e.string(r.Name)
	e.int16(r.Level)
}

func (r *FeatureLevelSet) decode(d *decoder) {
	r.Name = d.string()
	r.Level = d.int16()
}

func (v *Voter) encode(e *encoder) {
	e.int32(v.ID)
	e.uuid(v.DirectoryID)
	e.endpoints(v.Endpoints)
}

func (v *Voter) decode(d *decoder) {
	v.ID = d.int32()
	v.DirectoryID = d.uuid()
	v.Endpoints = d.endpoints()
}

func (r *VoterAdded) encode(e *encoder) { r.Voter.encode(e) }
func (r *VoterAdded) decode(d *decoder) { r.Voter.decode(d) }

func (r *VoterJoining) encode(e *encoder) { r.Voter.encode(e) }
func (r *VoterJoining) decode(d *decoder) { r.Voter.decode(d) }

func (r *VoterRemoved) encode(e *encoder) {
	e.int32(r.ID)
	e.uuid(r.DirectoryID)
}

func (r *VoterRemoved) decode(d *decoder) {
	r.ID = d.int32()
	r.DirectoryID = d.uuid()
}

func (r *BrokerChanged) encode(e *encoder) {
	e.int32(r.ID)
	e.int64(r.Epoch)
	e.brokerState(&r.State)
}

func (r *BrokerChanged) decode(d *decoder) {
	r.ID = d.int32()
	r.Epoch = d.int64()
	r.State = d.brokerState()
}

func (r *BrokerUnregistered) encode(e *encoder) {
	e.int32(r.ID)
	e.int64(r.Epoch)
}

func (r *BrokerUnregistered) decode(d *decoder) {
	r.ID = d.int32()
	r.Epoch = d.int64()
}

func (r *BrokerEpochsGiven) encode(e *encoder) { e.int64(r.Last) }
func (r *BrokerEpochsGiven) decode(d *decoder) { r.Last = d.int64() }

func (r *AccessControlAdded) encode(e *encoder) { e.acl(r.ACL) }
func (r *AccessControlAdded) decode(d *decoder) { r.ACL = d.acl() }

func (r *AccessControlRemoved) encode(e *encoder) { e.acl(r.ACL) }
func (r *AccessControlRemoved) decode(d *decoder) { r.ACL = d.acl() }

func (e *encoder) acl(a security.ACL) {
	e.buf = append(e.buf, byte(a.Type), byte(a.Pattern), byte(a.Operation), byte(a.Permission))
	e.string(a.Name)
	e.string(a.Principal)
	e.string(a.Host)
}

func (d *decoder) acl() (a security.ACL) {
	a.Type, a.Pattern = security.ResourceType(d.byte()), security.PatternType(d.byte())
	a.Operation, a.Permission = security.Operation(d.byte()), security.Permission(d.byte())
	a.Name = d.string()
	a.Principal = d.string()
	a.Host = d.string()
	return a
}
