package metadata

import (
	"iter"
	"maps"
	"slices"
)

// Records yields records that lead from [Empty] to this image, in an order of
// their own: they are its snapshot.
func (i *Image) Records() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		_ = i.yieldCluster(yield) && i.yieldBrokers(yield) && i.yieldTopics(yield) && i.yieldConfigs(yield) && i.yieldACLs(yield) && i.yieldQuotas(yield) && i.yieldCredentials(yield)
	}
}

func (i *Image) yieldCluster(yield func(Record) bool) bool {
	if i.ClusterID != "" && !yield(&ClusterNamed{i.ClusterID}) {
		return false
	}
	if i.ControllerID >= 0 && !yield(&ControllerElected{i.ControllerID}) {
		return false
	}
	for v := range i.Voters() {
		if !yield(&VoterAdded{*v}) {
			return false
		}
	}
	for v := range i.Joining() {
		if !yield(&VoterJoining{*v}) {
			return false
		}
	}
	for name, level := range i.Features() {
		if !yield(&FeatureLevelSet{name, level}) {
			return false
		}
	}
	return i.NextProducerID == 0 || yield(&ProducerIDsAllocated{i.NextProducerID})
}

func (i *Image) yieldBrokers(yield func(Record) bool) bool {
	for b := range i.Brokers() {
		if !yield(&BrokerRegistered{*b}) {
			return false
		}
	}
	return i.lastBrokerEpoch == 0 || yield(&BrokerEpochsGiven{i.lastBrokerEpoch})
}

func (i *Image) yieldTopics(yield func(Record) bool) bool {
	for t := range i.Topics() {
		if !yield(&TopicCreated{*t}) {
			return false
		}
	}
	return true
}

func (i *Image) yieldConfigs(yield func(Record) bool) bool {
	for r, set := range i.configs.all() {
		for _, name := range slices.Sorted(maps.Keys(set)) {
			value := set[name]
			if !yield(&ConfigSet{r, name, &value}) {
				return false
			}
		}
	}
	return true
}

func (i *Image) yieldACLs(yield func(Record) bool) bool {
	for a := range i.ACLs() {
		if !yield(&AccessControlAdded{a}) {
			return false
		}
	}
	return true
}

func (i *Image) yieldQuotas(yield func(Record) bool) bool {
	for e, set := range i.Quotas() {
		for _, key := range slices.Sorted(maps.Keys(set)) {
			value := set[key]
			if !yield(&QuotaSet{e, key, &value}) {
				return false
			}
		}
	}
	return true
}
