package log

import (
	"reflect"
	"testing"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// The file as Kafka 4.3 writes it.
const kafkaMetaProperties = "#\n#Tue Nov 24 13:38:45 UTC 2026\nnode.id=1\ndirectory.id=mCxv9uxbJ0i5G2mkj2_Aiw\nversion=1\ncluster.id=rfBqGmvEQeGFWzEHnkVo3g\n"

func TestReadMetaPropertiesOfKafka(t *testing.T) {
	m, err := readMetaProperties(memoryWith(t, "f", kafkaMetaProperties), "f")
	if err != nil {
		t.Fatal(err)
	}
	if m.ClusterID != "rfBqGmvEQeGFWzEHnkVo3g" || m.NodeID != 1 || m.DirectoryID.String() != "mCxv9uxbJ0i5G2mkj2_Aiw" || !m.Formatted() {
		t.Errorf("got %+v", m)
	}
}

func TestMetaPropertiesOfANewFolder(t *testing.T) {
	m, err := readMetaProperties(disk.NewMemory(), "f")
	if err != nil || m.Formatted() {
		t.Errorf("got %+v, %v; want that of a new folder", m, err)
	}
}

func TestMetaPropertiesKeepWhatTheyDoNotKnow(t *testing.T) {
	m := memoryWith(t, "f", "# a comment\n! another\n\nversion = 1\ncluster.id : a\\:b\\=c\\ d\\\\e\nnode.id=7\nx.y = z\\=1 \nflag\n")
	got, err := readMetaProperties(m, "f")
	want := metaProperties{Identity: Identity{ClusterID: `a:b=c d\e`, NodeID: 7}, others: []string{`x.y = z\=1`, "flag"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
	want.DirectoryID = protocol.TopicID{15: 1}
	if err := writeMetaProperties(m, "f", want); err != nil {
		t.Fatal(err)
	}
	const text = "version=1\ncluster.id=a\\:b\\=c\\ d\\\\e\nnode.id=7\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\nx.y = z\\=1\nflag\n"
	if got := contentOf(t, m, "f"); got != text {
		t.Errorf("wrote %q, want %q", got, text)
	}
	if got, err = readMetaProperties(m, "f"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read back %+v, %v; want %+v", got, err, want)
	}
}

func TestMalformedMetaProperties(t *testing.T) {
	for content, word := range map[string]string{
		"":                                                   "version",
		"cluster.id=a\nnode.id=1\n":                          "version",
		"version=0\ncluster.id=a\nbroker.id=1\n":             "version=0",
		"version=2\ncluster.id=a\nnode.id=1\n":               "version=2",
		"version=1\nnode.id=1\n":                             "cluster.id",
		"version=1\ncluster.id=\nnode.id=1\n":                "cluster.id",
		"version=1\ncluster.id=a\n":                          "node.id",
		"version=1\ncluster.id=a\nnode.id=x\n":               "node.id",
		"version=1\ncluster.id=a\nnode.id=-1\n":              "node.id",
		"version=1\ncluster.id=a\nnode.id=2147483648\n":      "node.id",
		"version=1\ncluster.id=a\nnode.id=1\ndirectory.id=x": "directory.id",
	} {
		m, err := readMetaProperties(memoryWith(t, "d/meta.properties", content), "d/meta.properties")
		wantProblem(t, err, "d/meta.properties", word)
		if m.Formatted() {
			t.Errorf("%q was taken for a formatted folder", content)
		}
	}
}
