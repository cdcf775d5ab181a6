package group

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/klamm-io/klamm/protocol"
)

// fakeCluster is a cluster in which a topic's id is its name.
type fakeCluster struct {
	partitions map[string]int
	racks      map[string][]string // of every partition
	configs    map[string]string   // of every group
	version    int64
}

func fakeID(name string) (id protocol.TopicID) { copy(id[:], name); return id }

func fakeName(id protocol.TopicID) string { return strings.TrimRight(string(id[:]), "\x00") }

func (f *fakeCluster) Topic(name string) (Topic, bool) {
	n, found := f.partitions[name]
	return Topic{Name: name, ID: fakeID(name), Partitions: n}, found
}

func (f *fakeCluster) TopicByID(id protocol.TopicID) (Topic, bool) { return f.Topic(fakeName(id)) }
func (f *fakeCluster) TopicNames() iter.Seq[string]                { return maps.Keys(f.partitions) }
func (f *fakeCluster) Racks(topic string, _ int) []string          { return f.racks[topic] }
func (f *fakeCluster) Version() int64                              { return f.version }
func (f *fakeCluster) GroupConfig(string) map[string]string        { return f.configs }

// become reads topics=(t:4, u:2@a+b), the part after the @ being racks, and
// configs=(consumer.session.timeout.ms:5000).
func (f *fakeCluster) become(a arguments) (next *fakeCluster, changed []string, names bool) {
	next = &fakeCluster{partitions: map[string]int{}, racks: map[string][]string{}, configs: map[string]string{}, version: f.version + 1}
	for _, one := range a.list("topics") {
		name, rest, _ := strings.Cut(one, ":")
		count, racks, hasRacks := strings.Cut(rest, "@")
		next.partitions[name] = len(count)
		if n := int(count[0] - '0'); len(count) == 1 {
			next.partitions[name] = n
		}
		if hasRacks {
			next.racks[name] = strings.Split(racks, "+")
		}
	}
	for _, one := range a.list("configs") {
		key, value, _ := strings.Cut(one, ":")
		next.configs[key] = value
	}
	for name := range maps.All(next.partitions) {
		before, existed := f.partitions[name]
		if !existed || before != next.partitions[name] || !slices.Equal(f.racks[name], next.racks[name]) {
			changed = append(changed, name)
		}
		names = names || !existed
	}
	for name := range f.partitions {
		if _, stays := next.partitions[name]; !stays {
			changed, names = append(changed, name), true
		}
	}
	return next, changed, names
}
