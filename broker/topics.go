package broker

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/protocol"
)

// metadataChanged makes the replicas what the metadata says. It runs before the
// change is answered, one change at a time.
func (b *Broker) metadataChanged(img *metadata.Image, d *metadata.Delta) {
	b.assigning.Lock()
	defer b.assigning.Unlock()
	if b.node != nil {
		b.node.metadataChanged(img, d)
		return
	}
	b.sizeCoordinators(slices.Values(d.TopicsCreated))
	for _, t := range d.TopicsDeleted {
		b.deleteTopic(t)
	}
	b.forgetTopics(d.TopicsDeleted)
	for _, t := range d.TopicsCreated {
		for i := range t.Partitions {
			b.newPartition(img, t, int32(i))
		}
		if t.Name == txnTopic {
			b.leadTxns()
		}
	}
	for _, t := range d.TopicsChanged {
		for i := len(t.Before.Partitions); i < len(t.After.Partitions); i++ {
			b.newPartition(img, t.After, int32(i))
		}
	}
	b.configsChanged(img, d)
	b.tellGroups(img, d)
	b.markers.MetadataChanged(img)
}

// forgetTopics lets groups forget what they committed of topics that were deleted.
func (b *Broker) forgetTopics(deleted []*metadata.Topic) {
	if len(deleted) == 0 {
		return
	}
	var names []string
	for _, t := range deleted {
		names = append(names, t.Name)
	}
	b.groups.TopicsDeleted(names)
}

func (b *Broker) configsChanged(img *metadata.Image, d *metadata.Delta) {
	for _, r := range d.ConfigsChanged {
		b.configChanged(img, r)
	}
}

func (b *Broker) deleteTopic(t *metadata.Topic) {
	for _, p := range b.partitions.Remove(t.Name) {
		b.deleteReplica(p)
	}
	for i := range t.Partitions { // those that are offline too
		b.forgetFolder(protocol.TopicPartition{Topic: t.Name, Partition: int32(i)})
	}
	b.metrics.Forget(t.Name)
}

// deleteReplica deletes the files of a replica that nobody finds any more.
func (b *Broker) deleteReplica(p *replica.Partition) {
	b.resign(p)
	if err := p.Log().Dir().Delete(p.TopicPartition); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		b.logger.Error("the files of a deleted partition could not be removed", "partition", p.String(), "err", err)
	}
	b.forgetFolder(p.TopicPartition)
}

// resign lets coordinators go of what a partition holds.
func (b *Broker) resign(p *replica.Partition) {
	switch p.Topic {
	case offsetsTopic:
		b.groups.Resign(p.Partition)
	case txnTopic:
		b.txns.Resign(p.Partition)
	}
}

// forgetFolder notes that a partition lies in no folder.
func (b *Broker) forgetFolder(tp protocol.TopicPartition) {
	for _, f := range b.folders {
		f.mu.Lock()
		delete(f.partitions, tp)
		f.mu.Unlock()
	}
}

// configChanged gives the logs of one topic, or of all where the brokers'
// defaults changed, their new configuration.
func (b *Broker) configChanged(img *metadata.Image, r metadata.Resource) {
	switch r.Type {
	case kmsg.ConfigResourceTypeTopic:
		b.reconfigure(img, r.Name)
	case kmsg.ConfigResourceTypeBroker:
		b.cordon(img)
		for t := range img.Topics() {
			b.reconfigure(img, t.Name)
		}
		b.cleaner.Configure(b.cleanerConfig(img))
	}
}

func (b *Broker) reconfigure(img *metadata.Image, topic string) {
	c, err := b.topicConfig(img, topic)
	if err != nil {
		b.logger.Error("a topic keeps its old configuration", "topic", topic, "err", err)
		return
	}
	for _, p := range b.partitions.Topic(topic) {
		p.Log().SetConfig(c)
	}
}

// register tells the cluster where this broker is reached.
func (b *Broker) register() error {
	me := metadata.Broker{ID: b.config.NodeID, Rack: b.config.Rack, Incarnation: protocol.NewTopicID(), Endpoints: b.advertised(), Features: controller.Features()}
	_, err := b.quorum.Propose(context.Background(), func(img *metadata.Image) ([]metadata.Record, error) {
		return (&controller.Controller{First: b.first}).RegisterAlone(img, me, controller.Inputs{NewTopicID: protocol.NewTopicID, Config: b.config}), nil
	})
	return err
}

// advertised is where clients and brokers reach this one, the listener for other nodes
// first: by that a controller finds it which is no broker.
func (b *Broker) advertised() []metadata.Endpoint {
	var all []metadata.Endpoint
	for _, e := range b.config.AdvertisedListeners {
		at := len(all)
		if e.Listener == b.config.InterBrokerListener {
			at = 0
		}
		all = slices.Insert(all, at, metadata.Endpoint{Listener: e.Listener, Host: e.Host, Port: b.port(e), SecurityProtocol: b.protocol(e.Listener)})
	}
	return all
}

// port is the port that is advertised: where any free one was asked for, the one
// that was taken.
func (b *Broker) port(e config.Endpoint) uint16 {
	if e.Port != 0 {
		return e.Port
	}
	for i, l := range b.listeners {
		if b.config.Listeners[i].Listener != e.Listener {
			continue
		}
		if _, text, err := net.SplitHostPort(l.Addr().String()); err == nil {
			port, _ := strconv.ParseUint(text, 10, 16)
			return uint16(port)
		}
	}
	return 0
}
