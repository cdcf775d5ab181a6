package metadata

import (
	"bytes"
	"cmp"
	"iter"
	"maps"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// Image is the cluster's metadata at one moment. The zero value is not ready:
// begin with [Empty].
type Image struct {
	// ClusterID is empty until the cluster is named.
	ClusterID string
	// ControllerID is the broker that decides; -1 before there is one.
	ControllerID int32
	// NextProducerID is the lowest producer id that was never handed out.
	NextProducerID int64

	topics     tree[string, *Topic]
	topicIDs   tree[protocol.TopicID, *Topic]
	alike      tree[alikeName, struct{}]
	partitions int
	brokers    tree[int32, *Broker]
	// lastBrokerEpoch is at least as high as that of every broker that is or was
	// registered.
	lastBrokerEpoch int64
	configs         tree[Resource, map[string]string]
	features        tree[string, int16]
	voters          tree[int32, *Voter]
	joining         tree[int32, *Voter]
	acls            tree[security.ACL, struct{}]
	quotas          tree[QuotaEntity, map[string]float64]
	scram           tree[security.ScramUser, *security.ScramCredential]
}

// alikeName sorts the names that hold '.' or '_' by what metrics make of them,
// so that those which look the same there stand side by side.
type alikeName struct{ metric, name string }

// Empty returns the image before the first record.
func Empty() *Image {
	return &Image{
		ControllerID: -1,
		topics:       newTree[string, *Topic](strings.Compare),
		topicIDs:     newTree[protocol.TopicID, *Topic](compareTopicIDs),
		alike:        newTree[alikeName, struct{}](compareAlike),
		brokers:      newTree[int32, *Broker](cmp.Compare[int32]),
		configs:      newTree[Resource, map[string]string](compareResources),
		features:     newTree[string, int16](strings.Compare),
		voters:       newTree[int32, *Voter](cmp.Compare[int32]),
		joining:      newTree[int32, *Voter](cmp.Compare[int32]),
		acls:         newTree[security.ACL, struct{}](security.ACL.Compare),
		quotas:       newTree[QuotaEntity, map[string]float64](compareQuotaEntities),
		scram:        newTree[security.ScramUser, *security.ScramCredential](security.ScramUser.Compare),
	}
}

func compareTopicIDs(a, b protocol.TopicID) int { return bytes.Compare(a[:], b[:]) }

func compareAlike(a, b alikeName) int {
	return cmp.Or(strings.Compare(a.metric, b.metric), strings.Compare(a.name, b.name))
}

// Topic returns the topic of that name.
func (i *Image) Topic(name string) (*Topic, bool) { return i.topics.get(name) }

// TopicByID returns the topic of that id.
func (i *Image) TopicByID(id protocol.TopicID) (*Topic, bool) { return i.topicIDs.get(id) }

// Topics yields all topics, sorted by name.
func (i *Image) Topics() iter.Seq[*Topic] { return values(i.topics.all()) }

// TopicsAfter yields the topics whose name sorts after the given one, which
// need not exist, sorted by name.
func (i *Image) TopicsAfter(name string) iter.Seq[*Topic] {
	// No string sorts between a name and the name with a zero byte at its end.
	return values(i.topics.from(name + "\x00"))
}

// NumTopics returns how many topics there are.
func (i *Image) NumTopics() int { return i.topics.count }

// NumPartitions returns how many partitions all topics have together.
func (i *Image) NumPartitions() int { return i.partitions }

// TopicLike returns a topic whose name differs from the given one but becomes
// the same where '.' turns into '_', as it does in the names of metrics.
func (i *Image) TopicLike(name string) (string, bool) {
	metric := metricName(name)
	for like := range i.alike.from(alikeName{metric: metric}) {
		if like.metric != metric {
			break
		}
		if like.name != name {
			return like.name, true
		}
	}
	return "", false
}

func metricName(topic string) string { return strings.ReplaceAll(topic, ".", "_") }

// Brokers yields all brokers, sorted by id.
func (i *Image) Brokers() iter.Seq[*Broker] { return values(i.brokers.all()) }

// Broker returns the broker of that id.
func (i *Image) Broker(id int32) (*Broker, bool) { return i.brokers.get(id) }

// NumBrokers returns how many brokers are registered.
func (i *Image) NumBrokers() int { return i.brokers.count }

// Config returns the configs set at run time for one resource; nil for none.
func (i *Image) Config(r Resource) map[string]string {
	set, _ := i.configs.get(r)
	return set
}

// Configured yields the resources of one type that have configs set at run time,
// sorted by name.
func (i *Image) Configured(kind kmsg.ConfigResourceType) iter.Seq[Resource] {
	return func(yield func(Resource) bool) {
		for r := range i.configs.from(Resource{Type: kind}) {
			if r.Type != kind || !yield(r) {
				return
			}
		}
	}
}

// BrokerConfig returns the configs set at run time that count for one broker: its
// own over those of all brokers. The map is not to be changed.
func (i *Image) BrokerConfig(id int32) map[string]string {
	every, own := i.Config(BrokerResource("")), i.Config(BrokerResource(strconv.Itoa(int(id))))
	if len(own) == 0 {
		return every
	}
	merged := maps.Clone(every)
	if merged == nil {
		merged = map[string]string{}
	}
	maps.Copy(merged, own)
	return merged
}

// Features yields the finalized feature levels (KIP-584), sorted by name.
func (i *Image) Features() iter.Seq2[string, int16] { return i.features.all() }

// Feature returns the finalized level of a feature, 0 for none.
func (i *Image) Feature(name string) int16 {
	level, _ := i.features.get(name)
	return level
}

// Voters yields the nodes that vote on the metadata, sorted by id; none before the
// first of them has led.
func (i *Image) Voters() iter.Seq[*Voter] { return values(i.voters.all()) }

// Voter returns the voter of that id.
func (i *Image) Voter(id int32) (*Voter, bool) { return i.voters.get(id) }

// Joining yields the nodes that are to vote once they have all that was decided,
// sorted by id.
func (i *Image) Joining() iter.Seq[*Voter] { return values(i.joining.all()) }

// JoiningVoter returns the node of that id that is to vote.
func (i *Image) JoiningVoter(id int32) (*Voter, bool) { return i.joining.get(id) }

// ACLs yields all ACLs, those of one pattern side by side.
func (i *Image) ACLs() iter.Seq[security.ACL] {
	return func(yield func(security.ACL) bool) {
		for a := range i.acls.all() {
			if !yield(a) {
				return
			}
		}
	}
}

// HasACL reports whether there is that ACL.
func (i *Image) HasACL(a security.ACL) bool {
	_, found := i.acls.get(a)
	return found
}

func values[K, V any](entries iter.Seq2[K, V]) iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, v := range entries {
			if !yield(v) {
				return
			}
		}
	}
}
