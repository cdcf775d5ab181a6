package config

import "strings"

// removedKeys are keys that Kafka itself has given up, by 4.0 or before.
var removedKeys = map[string]bool{
	"auto.include.jmx.reporter": true, "broker.id.generation.enable": true, "control.plane.listener.name": true,
	"controlled.shutdown.max.retries": true, "controlled.shutdown.retry.backoff.ms": true, "delegation.token.master.key": true,
	"inter.broker.protocol.version": true, "log.message.downconversion.enable": true,
	"log.message.format.version": true, "log.message.timestamp.difference.max.ms": true, "offsets.commit.required.acks": true,
	"reserved.broker.max.id": true,
}

// unusedPrefixes are the beginnings of keys whose ends are a name that the user
// chose, or that went with ZooKeeper.
var unusedPrefixes = []string{"listener.name.", "zookeeper.", "password.encoder.", "config.providers."}

// whyUnused says why a key has no effect, where somebody may count on it.
var whyUnused = map[string]string{
	"zookeeper.connect": "nothing is kept in ZooKeeper",
}

// isUnused reports whether a key is one of Kafka's that has no effect here, and
// its default, if it is known to have one.
func isUnused(name string) (standard string, unused bool) {
	if standard, unused = unusedKeys[name]; unused {
		return standard, true
	}
	for _, prefix := range unusedPrefixes {
		if strings.HasPrefix(name, prefix) && keyOf(name) == nil {
			return "", true
		}
	}
	return "", removedKeys[name]
}

// securityPrefixes are the beginnings of keys that ask for something that is not
// there: to start without it would be less safe than what was asked for.
var securityPrefixes = []string{"sasl.", "ssl."}

// isSecurity reports whether a key, or that of one listener, asks for security that
// is not there.
func isSecurity(name string) bool {
	if of, is := listenerKey(name); is {
		if name = of; strings.Contains(name, ".sasl.") {
			return true // for one mechanism
		}
	}
	for _, prefix := range securityPrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
