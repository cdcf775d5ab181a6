package log

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// Identity is whose a folder of logs is. The zero value is that of a new folder.
type Identity struct {
	ClusterID   string
	NodeID      int32
	DirectoryID protocol.TopicID // zero where an older Kafka formatted the folder (KIP-858)
}

// Formatted reports whether the folder belongs to a cluster.
func (i Identity) Formatted() bool { return i.ClusterID != "" }

// metaProperties is what a folder of logs says about itself, in Kafka's
// meta.properties (version 1). The zero value is that of a new folder.
type metaProperties struct {
	Identity

	others []string // lines with keys of others, as they are
}

// readMetaProperties reads the file; one that is not there is that of a new
// folder.
func readMetaProperties(fsys disk.FS, path string) (m metaProperties, err error) {
	raw, err := fsys.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("read %s: %w", path, err)
	}
	if m, err = parseMetaProperties(string(raw)); err != nil {
		return metaProperties{}, fmt.Errorf("%s: %w; if the folder holds no data you need, empty it and start again", path, err)
	}
	return m, nil
}

func parseMetaProperties(text string) (m metaProperties, err error) {
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		key, value := cutProperty(line)
		seen[key] = true
		if err := m.take(line, key, value); err != nil {
			return m, err
		}
	}
	for _, key := range []string{"version", "cluster.id", "node.id"} {
		if !seen[key] {
			return m, fmt.Errorf("%s is missing", key)
		}
	}
	return m, nil
}

// take takes in one property.
func (m *metaProperties) take(line, key, value string) error {
	switch key {
	case "version":
		if value != "1" {
			return fmt.Errorf("version=%s is not supported, only 1 is", value)
		}
	case "cluster.id":
		if value == "" {
			return errors.New("cluster.id is empty")
		}
		m.ClusterID = value
	case "node.id":
		id, err := parseNumber("node id", value, 32)
		if err != nil {
			return fmt.Errorf("node.id: %w", err)
		}
		m.NodeID = int32(id)
	case "directory.id":
		id, err := protocol.ParseTopicID(value)
		if err != nil {
			return fmt.Errorf("directory.id: %w", err)
		}
		m.DirectoryID = id
	default:
		m.others = append(m.others, line)
	}
	return nil
}

// cutProperty splits a line as Java's Properties do, as far as ids need it: at
// the first = or :, of which a backslash makes an ordinary character.
func cutProperty(line string) (key, value string) {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '=', ':':
			return unescape(strings.TrimSpace(line[:i])), unescape(strings.TrimSpace(line[i+1:]))
		}
	}
	return unescape(line), ""
}

func unescape(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			i++
		}
		out.WriteByte(text[i])
	}
	return out.String()
}

var escapes = strings.NewReplacer(`\`, `\\`, `=`, `\=`, `:`, `\:`, `#`, `\#`, `!`, `\!`, ` `, `\ `)

// writeMetaProperties replaces the file, and keeps the lines it does not know.
func writeMetaProperties(fsys disk.FS, path string, m metaProperties) error {
	lines := []string{"version=1", "cluster.id=" + escapes.Replace(m.ClusterID), fmt.Sprintf("node.id=%d", m.NodeID)}
	if !m.DirectoryID.IsZero() {
		lines = append(lines, "directory.id="+m.DirectoryID.String())
	}
	lines = append(lines, m.others...)
	return disk.WriteFileAtomic(fsys, path, []byte(strings.Join(lines, "\n")+"\n"))
}
