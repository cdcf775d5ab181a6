//go:build compat

package compat

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TestStreams has Kafka Streams count words exactly once while it is killed: what
// follows restores its counts from the compacted topic that Streams keeps them in.
func TestStreams(t *testing.T) {
	const rounds, perRound, words = 3, 100, 7
	java := clients[0]
	from, to := "streams-words", "streams-counts"
	createTopic(t, from, partitions)
	createTopic(t, to, partitions)
	state := t.TempDir()
	sent := map[string]int{}
	for round := range rounds {
		app := start(t, java, "count", from, "id=streams", "to="+to, "state="+state)
		produceWords(t, java, from, round*perRound, perRound, words, sent)
		if round == rounds-1 {
			wantCounts(t, java, to, rounds*perRound, sent)
			app.input.Close()
			app.finish(t)
			continue
		}
		// Some are committed, others may be under way.
		consume(t, java, to, round*perRound+perRound/2, "isolation=committed")
		if err := app.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-app.done
	}
	wantCompacted(t, "streams-counts-changelog")
}

func produceWords(t *testing.T, c client, topic string, first, count, words int, sent map[string]int) {
	t.Helper()
	var messages []message
	for i := first; i < first+count; i++ {
		word := fmt.Sprint("word ", i%words)
		sent[word]++
		messages = append(messages, message{Partition: int32(i % partitions), Timestamp: 1_700_000_000_000 + int64(i), Value: []byte(word)})
	}
	produce(t, c, topic, "none", messages)
}

// wantCounts makes sure that each word was counted up one by one.
func wantCounts(t *testing.T, c client, topic string, total int, sent map[string]int) {
	t.Helper()
	counts := map[string]int{}
	for _, e := range records(consume(t, c, topic, total, "isolation=committed")) {
		word := string(e.Key)
		counts[word]++
		if got := string(e.Value); got != strconv.Itoa(counts[word]) {
			t.Fatalf("%s at offset %d of partition %d is counted %s, want %d", word, e.Offset, e.Partition, got, counts[word])
		}
	}
	for word, want := range sent {
		if counts[word] != want {
			t.Errorf("%s is counted %d times, want %d", word, counts[word], want)
		}
	}
}

// wantCompacted makes sure that the topic has the policy that Streams asked for.
func wantCompacted(t *testing.T, topic string) {
	t.Helper()
	described, err := admin(t).DescribeTopicConfigs(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	resource, err := described.On(topic, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(resource.Configs, func(c kadm.Config) bool { return c.Key == "cleanup.policy" && c.MaybeValue() == "compact" }) {
		t.Errorf("%s is not compacted: %v", topic, resource.Configs)
	}
}
