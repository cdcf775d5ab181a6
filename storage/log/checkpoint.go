package log

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strconv"
	"strings"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// offsetCheckpoint is an offset for each of many partitions, in Kafka's file
// format: a line "0" for the version, a line with the count, and a line "topic
// partition offset" for each.
type offsetCheckpoint map[protocol.TopicPartition]int64

// readOffsetCheckpoint reads a checkpoint; one that is not there is empty.
func readOffsetCheckpoint(fsys disk.FS, path string) (offsetCheckpoint, error) {
	lines, err := readCheckpointLines(fsys, path)
	if err != nil {
		return nil, err
	}
	c := make(offsetCheckpoint, len(lines))
	for i, line := range lines {
		// A topic's name has no spaces.
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return nil, fmt.Errorf("%s, entry %d: %q should be a topic, a partition and an offset", path, i+1, line)
		}
		partition, errPartition := strconv.ParseInt(fields[1], 10, 32)
		offset, errOffset := strconv.ParseInt(fields[2], 10, 64)
		if err := errors.Join(errPartition, errOffset); err != nil {
			return nil, fmt.Errorf("%s, entry %d: %w", path, i+1, err)
		}
		c[protocol.TopicPartition{Topic: fields[0], Partition: int32(partition)}] = offset
	}
	return c, nil
}

func writeOffsetCheckpoint(fsys disk.FS, path string, c offsetCheckpoint) error {
	lines := make([]string, 0, len(c))
	for tp, offset := range c {
		lines = append(lines, fmt.Sprintf("%s %d %d", tp.Topic, tp.Partition, offset))
	}
	sort.Strings(lines)
	return writeCheckpointLines(fsys, path, lines)
}

// readCheckpointLines returns the entries of a file in Kafka's checkpoint format,
// none for a file that is not there.
func readCheckpointLines(fsys disk.FS, path string) ([]string, error) {
	raw, err := fsys.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	if len(lines) < 2 || lines[0] != "0" {
		return nil, fmt.Errorf("%s: want the version 0 on the first line and a count on the second", path)
	}
	count, err := strconv.Atoi(lines[1])
	if err != nil || count != len(lines)-2 {
		return nil, fmt.Errorf("%s: the second line says %q entries, %d are there", path, lines[1], len(lines)-2)
	}
	return lines[2:], nil
}

func writeCheckpointLines(fsys disk.FS, path string, lines []string) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "0\n%d\n", len(lines))
	for _, line := range lines {
		out.WriteString(line)
		out.WriteByte('\n')
	}
	return disk.WriteFileAtomic(fsys, path, out.Bytes())
}
