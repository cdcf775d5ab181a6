package log

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/klamm-io/klamm/internal/breakage"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// offsetCheckpoint is an offset for each of many partitions, in Kafka's file
// format: a line "0" for the version, a line with the count, and a line "topic
// partition offset" for each.
type offsetCheckpoint map[protocol.TopicPartition]int64

// readOffsetCheckpoint reads a checkpoint; one that is not there is empty. An
// error names the line that is wrong.
func readOffsetCheckpoint(fsys disk.FS, path string) (offsetCheckpoint, error) {
	c := offsetCheckpoint{}
	var before strings.Builder // the lines so far
	last, sum, want := "", int64(0), int64(0)
	err := readCheckpoint(fsys, path, func(line string) error {
		last, want = "", checksum(before.String())
		before.WriteString(line + "\n")
		// A topic's name has no spaces.
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return fmt.Errorf("want a topic, a partition and an offset, not %q", line)
		}
		partition, err := parseNumber("partition", fields[1], 32)
		if err != nil {
			return err
		}
		offset, err := parseNumber("offset", fields[2], 64)
		if err != nil {
			return err
		}
		if last, sum = fields[0], offset; last != checksumTopic {
			c[protocol.TopicPartition{Topic: fields[0], Partition: int32(partition)}] = offset
		}
		return nil
	})
	if err == nil && last == checksumTopic && sum != want && !breakage.Is(breakage.UncheckedStart) {
		err = fmt.Errorf("%s is damaged: its checksum is %d, its lines have %d", path, sum, want)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// checksumTopic is the topic of a checkpoint's last line, which has the checksum of all
// lines before it that name a partition in the place of an offset: a digit that has
// rotted is a digit still. No topic may have that name. Kafka takes it for a partition that
// it does not have; and of a line that is not the last, which others left, nothing is
// believed.
const checksumTopic = "checksum:crc32c"

func checksum(lines string) int64 {
	return int64(crc32.Checksum([]byte(lines), crc32.MakeTable(crc32.Castagnoli)))
}

// writeOffsetCheckpoint replaces a checkpoint, sorted by topic and partition, so
// that people find what they look for.
func writeOffsetCheckpoint(fsys disk.FS, path string, c offsetCheckpoint) error {
	partitions := slices.SortedFunc(maps.Keys(c), func(a, b protocol.TopicPartition) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	lines := make([]string, 0, len(partitions)+1)
	for _, tp := range partitions {
		lines = append(lines, fmt.Sprintf("%s %d %d", tp.Topic, tp.Partition, c[tp]))
	}
	if len(lines) > 0 {
		all := strings.Join(lines, "\n") + "\n"
		lines = append(lines, fmt.Sprintf("%s 0 %d", checksumTopic, checksum(all)))
	}
	return writeCheckpoint(fsys, path, lines)
}

// readCheckpoint calls entry for each entry of a file in Kafka's checkpoint
// format, and says on which line it failed. A file that is not there has none.
func readCheckpoint(fsys disk.FS, path string, entry func(line string) error) error {
	raw, err := fsys.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	if lines[0] != "0" {
		return fmt.Errorf("%s, line 1: want the version 0, not %q", path, lines[0])
	}
	if len(lines) < 2 {
		return fmt.Errorf("%s, line 2: the number of entries is missing", path)
	}
	if count, err := strconv.Atoi(lines[1]); err != nil || count != len(lines)-2 {
		return fmt.Errorf("%s, line 2: it says %q entries, %d are there", path, lines[1], len(lines)-2)
	}
	for i, line := range lines[2:] {
		if err := entry(line); err != nil {
			return fmt.Errorf("%s, line %d: %w", path, i+3, err)
		}
	}
	return nil
}

func writeCheckpoint(fsys disk.FS, path string, lines []string) error {
	var out strings.Builder
	fmt.Fprintf(&out, "0\n%d\n", len(lines))
	for _, line := range lines {
		out.WriteString(line)
		out.WriteByte('\n')
	}
	return disk.WriteFileAtomic(fsys, path, []byte(out.String()))
}

// parseNumber reads a number that is not negative and has at most so many bits,
// sign included.
func parseNumber(what, text string, bits int) (int64, error) {
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no %s", text, what)
	}
	return n, nil
}
