package config

import (
	"maps"
	"math"
	"strconv"
	"strings"
)

// ReplicationRates are how fast replicas that are slowed down may be copied, and logs
// from folder to folder, in bytes a second (KIP-73); math.MaxInt64 for as fast as it goes.
type ReplicationRates struct{ Leader, Follower, LogDirs int64 }

const (
	leaderRate   = "leader.replication.throttled.rate"
	followerRate = "follower.replication.throttled.rate"
	logDirsRate  = "replica.alter.log.dirs.io.max.bytes.per.second"
)

// ReplicationRates resolves what was set at run time, for this broker over for all.
func (b *Broker) ReplicationRates(everyBroker map[string]string) ReplicationRates {
	at := &Broker{values: maps.Clone(b.values)}
	for _, name := range []string{leaderRate, followerRate, logDirsRate} {
		if v, set := everyBroker[name]; set {
			at.values[name] = v
		}
	}
	return ReplicationRates{Leader: at.int(leaderRate), Follower: at.int(followerRate), LogDirs: at.int(logDirsRate)}
}

// unthrottled is the rate of what is not slowed down.
var unthrottled = strconv.FormatInt(math.MaxInt64, 10)

// ThrottledReplicas are the replicas of a topic that are slowed down.
type ThrottledReplicas struct {
	All bool
	Of  map[int32][]int32 // brokers, by partition
}

// Has reports whether a broker's replica of a partition is slowed down.
func (t ThrottledReplicas) Has(partition, broker int32) bool {
	if t.All {
		return true
	}
	for _, b := range t.Of[partition] {
		if b == broker {
			return true
		}
	}
	return false
}

// ParseThrottled reads a list that its key has accepted: *, or PARTITION:BROKER, ….
func ParseThrottled(list string) (t ThrottledReplicas) {
	if list == "*" {
		return ThrottledReplicas{All: true}
	}
	for _, item := range splitList(list) {
		partition, broker, _ := strings.Cut(item, ":")
		p, _ := strconv.ParseInt(partition, 10, 32)
		b, _ := strconv.ParseInt(broker, 10, 32)
		if t.Of == nil {
			t.Of = map[int32][]int32{}
		}
		t.Of[int32(p)] = append(t.Of[int32(p)], int32(b))
	}
	return t
}
