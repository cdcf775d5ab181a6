package metadata

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
)

// drawRecord draws a record that fits the image.
func drawRecord(t *rapid.T, img *Image) Record {
	topics := slices.Collect(img.Topics())
	kinds := []recordType{typeVoterAdded, typeControllerElected, typeBrokerRegistered, typeTopicCreated, typeProducerIDsAllocated, typeFeatureLevelSet, typeConfigSet, typeAccessControlAdded, typeQuotaSet, typeScramCredentialSet}
	if img.ClusterID == "" {
		kinds = append(kinds, typeClusterNamed)
	}
	if len(topics) > 0 {
		kinds = append(kinds, typePartitionsAdded, typeTopicDeleted, typePartitionsChanged)
	}
	acls := slices.Collect(img.ACLs())
	if len(acls) > 0 {
		kinds = append(kinds, typeAccessControlRemoved)
	}
	passwords := slices.Collect(img.ScramCredentials())
	if len(passwords) > 0 {
		kinds = append(kinds, typeScramCredentialRemoved)
	}
	brokers := slices.Collect(img.Brokers())
	if len(brokers) > 0 {
		kinds = append(kinds, typeBrokerChanged, typeBrokerUnregistered)
	}
	switch rapid.SampledFrom(kinds).Draw(t, "type") {
	case typeClusterNamed:
		return &ClusterNamed{rapid.StringMatching("[a-z]{1,22}").Draw(t, "cluster")}
	case typeControllerElected:
		return &ControllerElected{rapid.Int32Range(0, 5).Draw(t, "controller")}
	case typeBrokerRegistered:
		return &BrokerRegistered{drawBroker(t)}
	case typeVoterAdded:
		return drawVoterChange(t, img)
	case typeTopicCreated:
		return drawTopic(t, img)
	case typeProducerIDsAllocated:
		return &ProducerIDsAllocated{img.NextProducerID + rapid.Int64Range(0, 1000).Draw(t, "ids")}
	case typeFeatureLevelSet:
		return &FeatureLevelSet{rapid.SampledFrom([]string{"a", "b"}).Draw(t, "feature"), rapid.Int16Range(0, 3).Draw(t, "level")}
	case typeConfigSet:
		return drawConfig(t, topics)
	case typePartitionsAdded:
		topic := rapid.SampledFrom(topics).Draw(t, "topic")
		return &PartitionsAdded{topic.ID, int32(len(topic.Partitions)), drawPartitions(t)}
	case typePartitionsChanged:
		topic := rapid.SampledFrom(topics).Draw(t, "topic")
		return &PartitionsChanged{topic.ID, []PartitionChange{{int32(rapid.IntRange(0, len(topic.Partitions)-1).Draw(t, "index")), drawPartitions(t)[0]}}}
	case typeBrokerChanged:
		b := rapid.SampledFrom(brokers).Draw(t, "broker")
		return &BrokerChanged{b.ID, b.Epoch, drawBrokerState(t)}
	case typeBrokerUnregistered:
		b := rapid.SampledFrom(brokers).Draw(t, "broker")
		return &BrokerUnregistered{b.ID, b.Epoch}
	case typeAccessControlAdded:
		return &AccessControlAdded{drawACL(t, img)}
	case typeAccessControlRemoved:
		return &AccessControlRemoved{rapid.SampledFrom(acls).Draw(t, "acl")}
	case typeQuotaSet:
		return drawQuota(t)
	case typeScramCredentialSet:
		return &ScramCredentialSet{drawCredential(t)}
	case typeScramCredentialRemoved:
		return &ScramCredentialRemoved{rapid.SampledFrom(passwords).Draw(t, "credential").ScramUser}
	}
	return &TopicDeleted{rapid.SampledFrom(topics).Draw(t, "topic").ID}
}

// drawQuota draws a quota of few entities, so that some are set twice and taken back.
func drawQuota(t *rapid.T) Record {
	name := rapid.SampledFrom([]QuotaName{{}, DefaultQuota(), NamedQuota("a"), NamedQuota("b")})
	q := &QuotaSet{Key: rapid.SampledFrom([]string{"producer_byte_rate", "request_percentage"}).Draw(t, "key")}
	if q.Entity.User, q.Entity.ClientID = name.Draw(t, "user"), name.Draw(t, "client id"); !q.Entity.User.Is && !q.Entity.ClientID.Is {
		q.Entity.IP = DefaultQuota()
	}
	if rapid.Bool().Draw(t, "set") {
		value := rapid.Float64().Draw(t, "value")
		q.Value = &value
	}
	return q
}

func drawCredential(t *rapid.T) security.ScramCredential {
	bytes := func(label string) security.Hidden {
		return security.Hidden(rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, label))
	}
	return security.ScramCredential{
		ScramUser: security.ScramUser{Name: rapid.StringMatching("[ab]").Draw(t, "user"), Mechanism: security.ScramMechanism(rapid.Int8Range(1, 2).Draw(t, "mechanism"))},
		Salt:      bytes("salt"), StoredKey: bytes("stored key"), ServerKey: bytes("server key"), Iterations: rapid.Int32().Draw(t, "iterations"),
	}
}

// drawACL draws one that the image has not.
func drawACL(t *rapid.T, img *Image) security.ACL {
	for {
		a := security.ACL{
			Type: security.ResourceType(rapid.Int8Range(2, 7).Draw(t, "resource type")), Pattern: rapid.SampledFrom([]security.PatternType{security.Literal, security.Prefixed}).Draw(t, "pattern"),
			Name: rapid.String().Draw(t, "name"), Principal: rapid.String().Draw(t, "principal"), Host: rapid.String().Draw(t, "host"),
			Operation:  security.Operation(rapid.Int8Range(2, 15).Draw(t, "operation")),
			Permission: rapid.SampledFrom([]security.Permission{security.Deny, security.Allow}).Draw(t, "permission"),
		}
		if !img.HasACL(a) {
			return a
		}
	}
}

func drawTopic(t *rapid.T, img *Image) Record {
	for {
		name := rapid.StringMatching("[ab._]{1,4}").Draw(t, "name")
		id := protocol.TopicID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		_, named := img.Topic(name)
		_, known := img.TopicByID(id)
		if !named && !known {
			return &TopicCreated{Topic{Name: name, ID: id, Partitions: drawPartitions(t)}}
		}
	}
}

func drawPartitions(t *rapid.T) []Partition {
	all := make([]Partition, rapid.IntRange(1, 3).Draw(t, "partitions"))
	brokers := rapid.SliceOfN(rapid.Int32Range(1, 3), 0, 3)
	for i := range all {
		all[i] = Partition{
			Leader:         rapid.Int32().Draw(t, "leader"),
			LeaderEpoch:    rapid.Int32().Draw(t, "leader epoch"),
			PartitionEpoch: rapid.Int32().Draw(t, "partition epoch"),
			Replicas:       brokers.Draw(t, "replicas"),
			ISR:            brokers.Draw(t, "isr"),
			Recovering:     rapid.Bool().Draw(t, "recovering"),
		}
		if rapid.Bool().Draw(t, "unsettled") {
			all[i].Unsettled = &Unsettled{Adding: brokers.Draw(t, "adding"), Removing: brokers.Draw(t, "removing"),
				ELR: brokers.Draw(t, "elr"), LastKnownELR: brokers.Draw(t, "last known elr"), Offline: brokers.Draw(t, "offline")}
		}
	}
	return all
}

func drawBroker(t *rapid.T) Broker {
	b := Broker{ID: rapid.Int32Range(0, 3).Draw(t, "broker"), Epoch: rapid.Int64().Draw(t, "epoch"), Rack: rapid.String().Draw(t, "rack")}
	copy(b.Incarnation[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "incarnation"))
	b.Endpoints = make([]Endpoint, rapid.IntRange(0, 2).Draw(t, "endpoints"))
	for i := range b.Endpoints {
		b.Endpoints[i] = Endpoint{rapid.String().Draw(t, "listener"), rapid.String().Draw(t, "host"), rapid.Uint16().Draw(t, "port"), rapid.Int16().Draw(t, "security")}
	}
	b.Features = make([]FeatureRange, rapid.IntRange(0, 2).Draw(t, "features"))
	for i := range b.Features {
		b.Features[i] = FeatureRange{rapid.String().Draw(t, "feature"), rapid.Int16().Draw(t, "min"), rapid.Int16().Draw(t, "max")}
	}
	b.BrokerState = drawBrokerState(t)
	return b
}

// drawVoterChange adds, changes, removes a voter, or lets one join.
func drawVoterChange(t *rapid.T, img *Image) Record {
	v := Voter{ID: rapid.Int32Range(0, 3).Draw(t, "voter"), Endpoints: []Endpoint{{Host: rapid.String().Draw(t, "host")}}}
	v.DirectoryID[0] = rapid.Byte().Draw(t, "directory")
	is, votes := img.Voter(v.ID)
	joining, joins := img.JoiningVoter(v.ID)
	switch removes := rapid.Bool().Draw(t, "removes"); {
	case votes && removes:
		return &VoterRemoved{v.ID, is.DirectoryID}
	case votes:
		v.DirectoryID = is.DirectoryID
		return &VoterAdded{v}
	case joins && removes:
		return &VoterRemoved{v.ID, joining.DirectoryID}
	case joins:
		v.DirectoryID = joining.DirectoryID
	case rapid.Bool().Draw(t, "joins"):
		return &VoterJoining{v}
	}
	return &VoterAdded{v}
}

func drawBrokerState(t *rapid.T) BrokerState {
	dirs := func(of string) [][16]byte {
		all := make([][16]byte, rapid.IntRange(0, 2).Draw(t, of))
		for i := range all {
			all[i][0] = rapid.Byte().Draw(t, "dir")
		}
		return all
	}
	return BrokerState{Fenced: rapid.Bool().Draw(t, "fenced"), InControlledShutdown: rapid.Bool().Draw(t, "shuts down"),
		Cordoned: rapid.Bool().Draw(t, "cordoned"), LogDirs: dirs("log dirs"), OfflineLogDirs: dirs("offline log dirs")}
}

func drawConfig(t *rapid.T, topics []*Topic) Record {
	resource := BrokerResource(rapid.SampledFrom([]string{"", "1"}).Draw(t, "broker"))
	if len(topics) > 0 && rapid.Bool().Draw(t, "of a topic") {
		resource = TopicResource(rapid.SampledFrom(topics).Draw(t, "topic").Name)
	}
	set := &ConfigSet{Resource: resource, Name: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "config")}
	if rapid.Bool().Draw(t, "sets") {
		value := rapid.String().Draw(t, "value")
		set.Value = &value
	}
	return set
}

func drawHistory(t *rapid.T) (*Image, []Record) {
	img := Empty()
	var history []Record
	for range rapid.IntRange(0, 40).Draw(t, "records") {
		r := drawRecord(t, img)
		img = mustApply(t, img, r)
		history = append(history, r)
	}
	return img, history
}

func mustApply(t interface{ Fatal(...any) }, img *Image, records ...Record) *Image {
	next, _, err := img.Apply(records)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// throughBytes encodes and decodes the records.
func throughBytes(t *rapid.T, records []Record) []Record {
	read := make([]Record, len(records))
	for i, r := range records {
		var err error
		if read[i], err = Decode(Encode(nil, r)); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(read[i], r) {
			t.Fatalf("read %+v, wrote %+v", read[i], r)
		}
	}
	return read
}

// content is all that an image says.
func content(img *Image) []Record { return slices.Collect(img.Records()) }

// everything is an image's content, not by way of its own records.
func everything(img *Image) []any {
	all := []any{img.ClusterID, img.ControllerID, img.NextProducerID, img.lastBrokerEpoch, maps.Collect(img.Features()),
		img.NumTopics(), img.NumPartitions(), img.NumBrokers(), slices.Collect(keys(img.alike)), maps.Collect(img.configs.all()), slices.Collect(img.ACLs()), maps.Collect(img.Quotas())}
	for c := range img.ScramCredentials() {
		all = append(all, *c)
	}
	for t := range img.Topics() {
		all = append(all, *t)
	}
	for b := range img.Brokers() {
		all = append(all, *b)
	}
	return all
}

func requireEqual(t *rapid.T, got, want *Image) {
	if !reflect.DeepEqual(everything(got), everything(want)) {
		t.Fatalf("got %+v, want %+v", everything(got), everything(want))
	}
}

func keys[K, V any](t tree[K, V]) func(func(K) bool) {
	return func(yield func(K) bool) {
		for k := range t.all() {
			if !yield(k) {
				return
			}
		}
	}
}

// TestReplay: the history as bytes, in one Apply or many, and the snapshot as
// bytes all lead to the same image.
func TestReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		img, history := drawHistory(t)
		requireEqual(t, mustApply(t, Empty(), throughBytes(t, history)...), img)
		requireEqual(t, mustApply(t, Empty(), throughBytes(t, content(img))...), img)
	})
}

// TestApplyLeavesTheOldImage: whatever comes after, an image stays.
func TestApplyLeavesTheOldImage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		img, _ := drawHistory(t)
		before := encoded(img)
		next := img
		for range 10 {
			next = mustApply(t, next, drawRecord(t, next))
		}
		if after := encoded(img); !bytes.Equal(after, before) {
			t.Fatalf("was %q, became %q", before, after)
		}
	})
}

// encoded is an image's snapshot as bytes.
func encoded(img *Image) []byte {
	var b []byte
	for r := range img.Records() {
		b = Encode(b, r)
	}
	return b
}

// TestLookups: names and ids find the same topics as the sorted walk.
func TestLookups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		img, _ := drawHistory(t)
		partitions := 0
		var names []string
		for topic := range img.Topics() {
			byName, _ := img.Topic(topic.Name)
			byID, _ := img.TopicByID(topic.ID)
			if byName != topic || byID != topic {
				t.Fatalf("%s: by name %v, by id %v", topic.Name, byName, byID)
			}
			names = append(names, topic.Name)
			partitions += len(topic.Partitions)
		}
		if !slices.IsSorted(names) || img.NumPartitions() != partitions {
			t.Fatalf("%v with %d partitions, counted %d", names, partitions, img.NumPartitions())
		}
		after := rapid.StringMatching("[ab._]{0,4}").Draw(t, "after")
		var got []string
		for topic := range img.TopicsAfter(after) {
			got = append(got, topic.Name)
		}
		want := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n <= after })
		if !slices.Equal(got, want) {
			t.Fatalf("after %s: %v, want %v", after, got, want)
		}
		requireLike(t, img, names, after)
	})
}

func requireLike(t *rapid.T, img *Image, names []string, name string) {
	want := slices.ContainsFunc(names, func(n string) bool {
		return n != name && metricName(n) == metricName(name)
	})
	if like, got := img.TopicLike(name); got != want || got && metricName(like) != metricName(name) {
		t.Fatalf("like %s among %v: %s %v, want %v", name, names, like, got, want)
	}
}

// TestDecodeTruncated: no part of a record is taken for a whole one, and
// nothing a damaged one counts is believed.
func TestDecodeTruncated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		img, _ := drawHistory(t)
		whole := Encode(nil, drawRecord(t, img))
		for n := range whole {
			if r, err := Decode(whole[:n]); err == nil {
				t.Fatalf("%d of %d bytes read as %+v", n, len(whole), r)
			}
		}
		if _, err := Decode(append(whole, 0)); err == nil {
			t.Fatal("a byte too many was read")
		}
		at := rapid.IntRange(3, len(whole)-1).Draw(t, "damaged at")
		damaged := append(slices.Clone(whole[:at]), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)
		Decode(damaged) // must neither panic nor take memory for it
	})
}

func TestDecodeNewer(t *testing.T) {
	record := Encode(nil, &ControllerElected{7})
	record[1] = recordVersion + 1
	got, err := Decode(append(record, "a field to come"...))
	if err != nil || got.(*ControllerElected).BrokerID != 7 {
		t.Errorf("a newer version that is readable: %+v, %v", got, err)
	}
	record[2] = recordVersion + 1
	if _, err := Decode(record); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("a newer version that is not readable: %v", err)
	}
	if _, err := Decode([]byte{200, 0, 0}); err == nil || !strings.Contains(err.Error(), "type 200") {
		t.Errorf("an unknown type: %v", err)
	}
}

// TestSharedISR: lists that are equal share their memory.
func TestSharedISR(t *testing.T) {
	one := Partition{Replicas: []int32{1, 2}, ISR: []int32{1, 2}}
	two := Partition{Replicas: []int32{1, 2}, ISR: []int32{1}}
	read, err := DecodeDecision(EncodeDecision(nil, []Record{&PartitionsChanged{Changes: []PartitionChange{{0, one}, {1, two}}}, &PartitionsAdded{Partitions: []Partition{two}}}))
	if err != nil {
		t.Fatal(err)
	}
	changes, added := read[0].(*PartitionsChanged).Changes, read[1].(*PartitionsAdded).Partitions[0]
	first, second := changes[0].Partition, changes[1].Partition
	if &first.Replicas[0] != &first.ISR[0] || &first.Replicas[0] != &second.Replicas[0] || &second.ISR[0] != &added.ISR[0] {
		t.Error("a list is a copy")
	}
}

func TestApplyRefuses(t *testing.T) {
	id, other := protocol.TopicID{1}, protocol.TopicID{2}
	img := mustApply(t, Empty(), &ClusterNamed{"c"}, &ProducerIDsAllocated{5}, &BrokerRegistered{Broker{ID: 3, Epoch: 5}}, &AccessControlAdded{security.ACL{Name: "a"}},
		&TopicCreated{Topic{Name: "a", ID: id, Partitions: make([]Partition, 2)}},
		&ScramCredentialSet{security.ScramCredential{ScramUser: security.ScramUser{Name: "a", Mechanism: security.ScramSHA256}}})
	value := "v"
	for _, c := range []struct {
		record Record
		want   string
	}{
		{&ClusterNamed{"d"}, "cluster c cannot become d"},
		{&TopicCreated{Topic{Name: "a", ID: other}}, "topic a exists"},
		{&TopicCreated{Topic{Name: "b", ID: id}}, "exists"},
		{&PartitionsAdded{TopicID: other}, "not known"},
		{&PartitionsAdded{TopicID: id, First: 1}, "has 2 partitions"},
		{&PartitionsChanged{TopicID: other}, "not known"},
		{&PartitionsChanged{TopicID: id, Changes: []PartitionChange{{Index: 2}}}, "no partition 2"},
		{&PartitionsChanged{TopicID: id, Changes: []PartitionChange{{Index: -1}}}, "no partition -1"},
		{&BrokerChanged{ID: 7, Epoch: 3}, "broker 7 is not registered"},
		{&BrokerChanged{ID: 3, Epoch: 3}, "broker 3 has the epoch 5, not 3"},
		{&BrokerUnregistered{ID: 3, Epoch: 3}, "broker 3 has the epoch 5, not 3"},
		{&TopicDeleted{other}, "not known"},
		{&ConfigSet{TopicResource("b"), "k", &value}, "topic b, which is not known"},
		{&ConfigSet{TopicResource("b"), "k", nil}, "topic b, which is not known"},
		{&ProducerIDsAllocated{4}, "below 5"},
		{&AccessControlAdded{security.ACL{Name: "a"}}, "exists"},
		{&AccessControlRemoved{security.ACL{Name: "b"}}, "not known"},
		{&QuotaSet{Key: "producer_byte_rate"}, "nobody"},
		{&QuotaSet{Entity: QuotaEntity{User: NamedQuota("a"), IP: NamedQuota("::1")}}, "nobody"},
		{&ScramCredentialRemoved{security.ScramUser{Name: "a", Mechanism: security.ScramSHA512}}, "user a has no credential of SCRAM-SHA-512"},
	} {
		if _, _, err := img.Apply([]Record{c.record}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.record, err, c.want)
		}
	}
}

func TestIsInternal(t *testing.T) {
	for name, want := range map[string]bool{"__consumer_offsets": true, "__transaction_state": true, "__own": false} {
		if (&Topic{Name: name}).Internal() != want {
			t.Errorf("%s: want %v", name, want)
		}
	}
}

// BenchmarkCreateTopic adds one topic of ten partitions to 100,000 others.
func BenchmarkCreateTopic(b *testing.B) {
	img := crowded(b, 100_000)
	for n := 0; b.Loop(); n++ {
		_, _, err := img.Apply([]Record{&TopicCreated{numbered(100_000 + n)}})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTopic(b *testing.B) {
	img := crowded(b, 100_000)
	names := make([]string, 1024)
	for i := range names {
		names[i] = numbered(i * 97).Name
	}
	for n := 0; b.Loop(); n++ {
		if _, found := img.Topic(names[n%len(names)]); !found {
			b.Fatal("not found")
		}
	}
}

func crowded(b *testing.B, topics int) *Image {
	img := Empty()
	for n := range topics {
		img = mustApply(b, img, &TopicCreated{numbered(n)})
	}
	return img
}

func numbered(n int) Topic {
	t := Topic{Name: fmt.Sprintf("topic-%d.events", n), ID: protocol.NewTopicID(), Partitions: make([]Partition, 10)}
	lone := []int32{1}
	for i := range t.Partitions {
		t.Partitions[i] = Partition{Leader: 1, Replicas: lone, ISR: lone}
	}
	return t
}

// TestDiff: two images differ in exactly the brokers and topics that are not equal.
func TestDiff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, _ := drawHistory(t)
		after := before
		for range rapid.IntRange(0, 10).Draw(t, "more records") {
			after = mustApply(t, after, drawRecord(t, after))
		}
		d := Diff(before, after)
		for id := range int32(4) {
			was, existed := before.Broker(id)
			is, exists := after.Broker(id)
			if changed := existed != exists || exists && !reflect.DeepEqual(was, is); changed != slices.Contains(d.BrokersChanged, id) {
				t.Fatalf("broker %d from %+v to %+v, the difference is in %v", id, was, is, d.BrokersChanged)
			}
		}
		requireACLsDiffer(t, before, after, d)
		for _, e := range slices.Concat(slices.Collect(keys(before.quotas)), slices.Collect(keys(after.quotas))) {
			if same := maps.Equal(before.QuotasOf(e), after.QuotasOf(e)); same == slices.Contains(d.QuotasChanged, e) {
				t.Fatalf("quotas of %s from %v to %v, the difference is in %v", e, before.QuotasOf(e), after.QuotasOf(e), d.QuotasChanged)
			}
		}
		for topic := range after.Topics() {
			was, existed := before.TopicByID(topic.ID)
			found := slices.ContainsFunc(d.TopicsChanged, func(c TopicChange) bool { return c.After == topic })
			if existed && found == reflect.DeepEqual(was.Partitions, topic.Partitions) {
				t.Fatalf("topic from %+v to %+v, found %v", was, topic, found)
			}
		}
	})
}

// requireACLsDiffer holds the ACLs that were added and removed against both images.
func requireACLsDiffer(t *rapid.T, before, after *Image, d *Delta) {
	want := map[security.ACL]bool{}
	for a := range before.ACLs() {
		want[a] = true
	}
	for _, a := range d.ACLsRemoved {
		if !want[a] {
			t.Fatalf("%+v is removed and was not there", a)
		}
		delete(want, a)
	}
	for _, a := range d.ACLsAdded {
		if want[a] {
			t.Fatalf("%+v is added and was there", a)
		}
		want[a] = true
	}
	got := slices.Collect(after.ACLs())
	if len(got) != len(want) || slices.ContainsFunc(got, func(a security.ACL) bool { return !want[a] }) {
		t.Fatalf("ACLs %+v, by the difference %+v", got, want)
	}
}

// TestReplicasThatAreNotThere: clients are told of brokers that are not fenced, and of
// the replicas on all others, or on a failed log dir.
func TestReplicasThatAreNotThere(t *testing.T) {
	img := Empty()
	for id, fenced := range []bool{false, true, false} {
		img = mustApply(t, img, &BrokerRegistered{Broker{ID: int32(id), BrokerState: BrokerState{Fenced: fenced}}})
	}
	var live []int32
	for b := range img.Live() {
		live = append(live, b.ID)
	}
	p := Partition{Replicas: []int32{0, 1, 2, 3}, Unsettled: &Unsettled{Offline: []int32{2}}}
	if offline := img.OfflineReplicas(&p); !slices.Equal(live, []int32{0, 2}) || !slices.Equal(offline, []int32{1, 2, 3}) {
		t.Errorf("live %v, offline %v", live, offline)
	}
	if !img.Active(0) || img.Active(1) || img.Active(3) {
		t.Error("active are not those that are up")
	}
}

// What does not fit who votes is refused: a second directory of a voter, a node that
// votes and joins, and the removal of one that does neither.
func TestVotersFit(t *testing.T) {
	one, other := Voter{ID: 1, DirectoryID: [16]byte{1}}, Voter{ID: 1, DirectoryID: [16]byte{2}}
	for name, records := range map[string][]Record{
		"votes with another directory": {&VoterAdded{one}, &VoterAdded{other}},
		"joins with another directory": {&VoterJoining{one}, &VoterJoining{other}},
		"votes and joins":              {&VoterAdded{one}, &VoterJoining{one}},
		"removed with another":         {&VoterAdded{one}, &VoterRemoved{1, other.DirectoryID}},
		"removed twice":                {&VoterAdded{one}, &VoterRemoved{1, one.DirectoryID}, &VoterRemoved{1, one.DirectoryID}},
		"joins no more, and goes":      {&VoterJoining{one}, &VoterAdded{one}, &VoterRemoved{1, one.DirectoryID}, &VoterRemoved{1, one.DirectoryID}},
	} {
		if img, _, err := Empty().Apply(records); err == nil {
			t.Errorf("%s: the voters are %v", name, slices.Collect(img.Voters()))
		}
	}
}
