package log

import (
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"strings"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// partitionMetadataFile says to which topic id a partition's folder belongs.
const partitionMetadataFile = "partition.metadata"

// errUnwritten says that a stop came before a folder's metadata reached the disk, and
// so before anything of its log was flushed.
var errUnwritten = errors.New("it was never written")

// readPartitionMetadata reads a topic id from the file, which has to be there.
func readPartitionMetadata(fsys disk.FS, path string) (protocol.TopicID, error) {
	raw, err := fsys.ReadFile(path)
	if err != nil {
		return protocol.TopicID{}, fmt.Errorf("read %s: %w", path, err)
	}
	if allZero(raw) {
		return protocol.TopicID{}, fmt.Errorf("%s: %w", path, errUnwritten)
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

// partitionMetadata is the file's content.
func partitionMetadata(id protocol.TopicID) []byte {
	return []byte("version: 0\ntopic_id: " + id.String() + "\n")
}

// beginPartitionMetadata writes the file for a new folder and does not flush it: the
// log's first flush does, before it counts.
func beginPartitionMetadata(fsys disk.FS, path string, id protocol.TopicID) error {
	file, err := fsys.OpenFile(path)
	if err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	_, err = file.WriteAt(partitionMetadata(id), 0)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// writePartitionMetadata writes the file anew for a folder that has records.
func writePartitionMetadata(fsys disk.FS, path string, id protocol.TopicID) error {
	return disk.WriteFileAtomic(fsys, path, partitionMetadata(id))
}

// syncPartitionMetadata makes the file durable.
func syncPartitionMetadata(fsys disk.FS, path string) error {
	file, err := fsys.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was removed while the log was open; the next start writes it anew
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("flush %s: %w", path, err)
	}
	return nil
}
