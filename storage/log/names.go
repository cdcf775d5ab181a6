package log

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/klamm-io/klamm/protocol"
)

// longestName is what file systems allow for one name.
const longestName = 255

// awayName is what the folder of tp is called while it waits for its deletion,
// or to be looked at: "topic-0.<32 hex digits>-delete".
func awayName(tp protocol.TopicPartition, why string) string {
	id := protocol.NewTopicID()
	suffix := "-" + strconv.Itoa(int(tp.Partition)) + "." + hex.EncodeToString(id[:]) + "-" + why
	return tp.Topic[:min(len(tp.Topic), longestName-len(suffix))] + suffix
}

// isAway reports whether a folder waits for its deletion, or is one that nobody needs
// after a stop.
func isAway(name string) bool {
	return (strings.HasSuffix(name, "-delete") || strings.HasSuffix(name, "-"+annexSuffix)) && strings.Contains(name, ".")
}

// parseFolderName reads the name of a partition's folder, "topic-0".
func parseFolderName(name string) (protocol.TopicPartition, bool) {
	dash := strings.LastIndexByte(name, '-')
	if dash <= 0 {
		return protocol.TopicPartition{}, false
	}
	partition, err := strconv.ParseInt(name[dash+1:], 10, 32)
	if err != nil || partition < 0 || name[dash+1:] != strconv.FormatInt(partition, 10) {
		return protocol.TopicPartition{}, false
	}
	return protocol.TopicPartition{Topic: name[:dash], Partition: int32(partition)}, true
}
