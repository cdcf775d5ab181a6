//go:build compat

package compat

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestAdmin has each admin client create, describe, alter and delete a topic,
// delete records, and describe, reset and delete a group.
func TestAdmin(t *testing.T) {
	want := []string{
		"created 2", "again 36", "grown to 4", "retention.ms 3600000", "retention.ms 7200000",
		"kept 5 to 10", "group Empty at 3", "group at 7", "group gone", "brokers 1", "topic gone",
	}
	for _, c := range present(t) {
		if c.noAdmin {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			topic := "admin-" + c.name
			keepTen(t, topic, topic+"-kept")
			p := start(t, c, "admin", topic)
			var got []string
			for _, e := range p.finish(t) {
				got = append(got, e.Text)
			}
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// keepTen makes a topic of ten records, which a group has read three of.
func keepTen(t *testing.T, group, topic string) {
	t.Helper()
	createTopic(t, topic, 1)
	cl := producer(t, topic)
	for range 10 {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 3, -1)
	if err := admin(t).CommitAllOffsets(t.Context(), group, offsets); err != nil {
		t.Fatal(err)
	}
}
