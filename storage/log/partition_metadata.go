package log

import (
	"errors"
	"fmt"
	"strings"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// partitionMetadataFile says to which topic id a partition's folder belongs.
const partitionMetadataFile = "partition.metadata"

func readPartitionMetadata(fsys disk.FS, path string) (protocol.TopicID, error) {
	raw, err := fsys.ReadFile(path)
	if err != nil {
		return protocol.TopicID{}, fmt.Errorf("read %s: %w", path, err)
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "topic_id: "); ok {
			id, err := protocol.ParseTopicID(value)
			if err != nil {
				return id, fmt.Errorf("%s: %w", path, err)
			}
			return id, nil
		}
	}
	return protocol.TopicID{}, fmt.Errorf("%s: has no topic_id", path)
}

// writePartitionMetadata does not flush the file: the log's first flush makes
// the folder durable, and a file that is torn by a stop before is written anew.
func writePartitionMetadata(fsys disk.FS, path string, id protocol.TopicID) error {
	file, err := fsys.OpenFile(path)
	if err != nil {
		return err
	}
	_, err = file.WriteAt([]byte("version: 0\ntopic_id: "+id.String()+"\n"), 0)
	return errors.Join(err, file.Close())
}
