package metadata

import (
	"cmp"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
)

// The topics that the broker keeps its own state in.
const (
	ConsumerOffsets  = "__consumer_offsets"
	TransactionState = "__transaction_state"
)

// IsInternal reports whether the topic of that name belongs to the broker:
// clients may read it but not write to it.
func IsInternal(name string) bool { return name == ConsumerOffsets || name == TransactionState }

// Topic is one topic. Partition n is Partitions[n].
type Topic struct {
	Name       string
	ID         protocol.TopicID
	Partitions []Partition
}

// Internal reports whether the topic belongs to the broker.
func (t *Topic) Internal() bool { return IsInternal(t.Name) }

// Endpoint is where one listener of a broker is reached.
type Endpoint struct {
	Listener         string
	Host             string
	Port             uint16
	SecurityProtocol int16 // 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL
}

// Resource names what a config belongs to: a topic or group by name, a broker by
// its id in decimal, and all brokers by the empty name.
type Resource struct {
	Type kmsg.ConfigResourceType
	Name string
}

// TopicResource names a topic's configs.
func TopicResource(name string) Resource {
	return Resource{kmsg.ConfigResourceTypeTopic, name}
}

// BrokerResource names a broker's configs, or with "" those of all brokers.
func BrokerResource(id string) Resource {
	return Resource{kmsg.ConfigResourceTypeBroker, id}
}

// GroupResource names a group's configs.
func GroupResource(id string) Resource { return Resource{kmsg.ConfigResourceTypeGroupConfig, id} }

func compareResources(a, b Resource) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), strings.Compare(a.Name, b.Name))
}
