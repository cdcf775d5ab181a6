package log

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// metaProperties is what a folder of logs says about itself, in Kafka's
// meta.properties (version 1). The zero value is that of a new folder.
type metaProperties struct {
	ClusterID   string
	NodeID      int32
	DirectoryID protocol.TopicID
}

// formatted reports whether the folder belongs to a cluster.
func (m metaProperties) formatted() bool { return m.ClusterID != "" }

func readMetaProperties(fsys disk.FS, path string) (m metaProperties, err error) {
	raw, err := fsys.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("read %s: %w", path, err)
	}
	version := ""
	for line := range strings.Lines(string(raw)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		var bad error
		switch key {
		case "version":
			version = value
		case "cluster.id":
			m.ClusterID = value
		case "node.id":
			var id int64
			id, bad = strconv.ParseInt(value, 10, 32)
			m.NodeID = int32(id)
		case "directory.id":
			m.DirectoryID, bad = protocol.ParseTopicID(value)
		}
		if bad != nil {
			return m, fmt.Errorf("%s: %s: %w", path, key, bad)
		}
	}
	if version != "1" || m.ClusterID == "" {
		return m, fmt.Errorf("%s: want version=1, cluster.id and node.id; if the folder holds no data you need, empty it and start again", path)
	}
	return m, nil
}

func writeMetaProperties(fsys disk.FS, path string, m metaProperties) error {
	text := fmt.Sprintf("cluster.id=%s\ndirectory.id=%s\nnode.id=%d\nversion=1\n", m.ClusterID, m.DirectoryID, m.NodeID)
	return disk.WriteFileAtomic(fsys, path, []byte(text))
}
