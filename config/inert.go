package config

import "strings"

// inertPrefixes are the beginnings of Kafka's keys that are accepted, so that a
// server.properties works as it is, and have no effect: what they tune is not
// there, or tunes itself.
var inertPrefixes = []string{
	"alter.config.", "alter.log.dirs.", "auto.include.jmx", "auto.leader.", "background.threads", "broker.heartbeat.", "broker.session.",
	"client.quota.", "config.providers", "connection.failed.", "controlled.shutdown.", "controller.", "cordoned.", "create.topic.policy.",
	"delegation.token.", "delete.records.purgatory.", "early.start.", "fetch.purgatory.", "follower.fetch.", "group.consumer.", "group.coordinator.",
	"group.share.", "group.streams.", "initial.broker.", "inter.broker.", "kafka.metrics.", "leader.imbalance.", "log.cleaner.", "log.dir.failure.",
	"log.flush.scheduler.", "log.flush.start.", "log.initial.task.", "log.local.", "max.connection.creation.", "max.connections.per.ip.overrides",
	"metadata.", "metric.", "metrics.", "num.io.threads", "num.network.threads", "num.replica.", "offsets.commit.", "offsets.load.",
	"offsets.topic.compression.", "principal.builder.", "process.roles", "producer.id.expiration.check.", "producer.purgatory.", "queued.max.",
	"quota.", "remote.", "replica.", "replication.quota.", "request.timeout.ms", "reserved.broker.", "security.providers", "share.", "socket.",
	"telemetry.", "transaction.", "transactional.", "zookeeper.",
}

// isInert reports whether a key is one of Kafka's that has no effect here.
func isInert(name string) bool {
	for _, prefix := range inertPrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// refusedPrefixes are the beginnings of keys that ask for something that is not
// there: to start without it would be less safe than what was asked for.
var refusedPrefixes = []string{"authorizer.", "sasl.", "ssl.", "security.inter.broker.protocol", "super.users", "allow.everyone."}

func isRefused(name string) bool {
	for _, prefix := range refusedPrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
