//go:build compat

package compat

import (
	"bytes"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TestMessageSize has each client send a batch that is just as large as the topic
// takes, and to another partition one that is a byte larger: the client says that
// this one is too large, and the broker has the other.
func TestMessageSize(t *testing.T) {
	// A batch's header, and all of its one record but the value: its length, the
	// attributes, both deltas, the key with its length, the value's length, no headers.
	const limit, around = 2048, 61 + 2 + 1 + 1 + 1 + 2 + 2 + 1
	tooLarge := regexp.MustCompile(`(?i)too.?large|larger than`)
	for _, c := range present(t) {
		t.Run(c.name, func(t *testing.T) {
			topic := "size-" + c.name
			createTopicWith(t, topic, 2, map[string]*string{"max.message.bytes": kadm.StringPtr(strconv.Itoa(limit))})
			var messages []message
			for p := range 2 {
				messages = append(messages, message{Partition: int32(p), Timestamp: time.Now().UnixMilli(), Key: []byte("k"), Value: bytes.Repeat([]byte("x"), limit-around+p)})
			}
			p := start(t, c, "produce", topic, "codec=none")
			p.give(t, messages)
			if err := p.ended(t); err == nil || !tooLarge.MatchString(err.Error()) {
				t.Errorf("it ended with %v", err)
			}
			wantEnds(t, topic, 1, 0)
		})
	}
}

// wantEnds checks how many records each partition has.
func wantEnds(t *testing.T, topic string, want ...int64) {
	t.Helper()
	ends, err := admin(t).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	for p, end := range want {
		if at := ends[topic][int32(p)]; at.Err != nil || at.Offset != end {
			t.Errorf("partition %d ends at %d (%v), want %d", p, at.Offset, at.Err, end)
		}
	}
}
