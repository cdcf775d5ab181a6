package log

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// partitionMetadataFile says to which topic id a partition's folder belongs.
const partitionMetadataFile = "partition.metadata"

// readPartitionMetadata reads a topic id from the file, which has to be there.
func readPartitionMetadata(fsys disk.FS, path string) (protocol.TopicID, error) {
	raw, err := fsys.ReadFile(path)
	if err != nil {
		return protocol.TopicID{}, fmt.Errorf("read %s: %w", path, err)
	}
	version, id, _ := strings.Cut(strings.TrimSuffix(string(raw), "\n"), "\n")
	if version != "version: 0" {
		return protocol.TopicID{}, fmt.Errorf("%s, line 1: want \"version: 0\", not %q", path, version)
	}
	text, ok := strings.CutPrefix(id, "topic_id: ")
	if !ok {
		return protocol.TopicID{}, fmt.Errorf("%s, line 2: want a topic_id, not %q", path, id)
	}
	topicID, err := protocol.ParseTopicID(text)
	if err != nil {
		return topicID, fmt.Errorf("%s, line 2: %w", path, err)
	}
	return topicID, nil
}

// flippedBits is by how many bits a topic id may differ from another and still be
// taken for what damage made of it: a flipped bit of the text changes up to six.
// Two ids of topics, 122 bits of chance each, are never that close.
const flippedBits = 8

// damagedForm reports whether id, which differs from want, is what is left of it.
// The file has no checksum, and a partition must not vanish for one bit.
func damagedForm(id, want protocol.TopicID) bool {
	differ := 0
	for i := range id {
		differ += bits.OnesCount8(id[i] ^ want[i])
	}
	return id.IsZero() || differ <= flippedBits
}

// writePartitionMetadata does not flush the file: the log's first flush makes
// the folder durable, and a file that is torn by a stop before is written anew.
func writePartitionMetadata(fsys disk.FS, path string, id protocol.TopicID) error {
	file, err := fsys.OpenFile(path)
	if err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	text := "version: 0\ntopic_id: " + id.String() + "\n"
	err = file.Truncate(0)
	if err == nil {
		_, err = file.WriteAt([]byte(text), 0)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
