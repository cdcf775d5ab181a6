package fetchsession

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var start = time.Unix(1_000_000, 0)

// request builds a v12 fetch of the partitions of topic "t" with their offsets.
func request(id, epoch int32, offsets map[int32]int64, forgotten ...int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.SessionID, req.SessionEpoch = 12, id, epoch
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = "t"
	for p := range int32(10) {
		if at, ok := offsets[p]; ok {
			part := kmsg.NewFetchRequestTopicPartition()
			part.Partition, part.FetchOffset = p, at
			topic.Partitions = append(topic.Partitions, part)
		}
	}
	req.Topics = append(req.Topics, topic)
	if len(forgotten) > 0 {
		f := kmsg.NewFetchRequestForgottenTopic()
		f.Topic, f.Partitions = "t", forgotten
		req.ForgottenTopics = append(req.ForgottenTopics, f)
	}
	return req
}

func open(t *testing.T, c *Cache, req *kmsg.FetchRequest, now time.Time) *Fetch {
	t.Helper()
	f, err := c.Open(req, now)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func shown(f *Fetch) string {
	var b strings.Builder
	for _, w := range f.Wanted {
		fmt.Fprintf(&b, "%d@%d ", w.Partition, w.Offset)
	}
	return strings.TrimSpace(b.String())
}

func TestSessionMergesAndForgets(t *testing.T) {
	c := New(10, time.Minute)
	first := open(t, c, request(0, 0, map[int32]int64{0: 5, 1: 6, 2: 7}), start)
	if first.SessionID() == 0 || first.Incremental() {
		t.Fatalf("first fetch: session %d, incremental %v", first.SessionID(), first.Incremental())
	}
	second := open(t, c, request(first.id, 1, map[int32]int64{1: 60, 3: 8}, 0), start)
	if got, want := shown(second), "1@60 2@7 3@8"; got != want {
		t.Fatalf("merged to %q, want %q", got, want)
	}
	if _, partitions := c.Len(); partitions != 3 {
		t.Fatalf("holds %d partitions, want 3", partitions)
	}
	last := open(t, c, request(first.id, 2, nil, 1, 2, 3), start)
	if last.SessionID() != 0 {
		t.Fatal("a session without partitions lives on")
	}
	if sessions, partitions := c.Len(); sessions != 0 || partitions != 0 {
		t.Fatalf("left over: %d sessions, %d partitions", sessions, partitions)
	}
}

func TestSessionRefusals(t *testing.T) {
	c := New(10, time.Minute)
	f := open(t, c, request(0, 0, map[int32]int64{0: 0}), start)
	byID := request(f.id, 1, nil)
	byID.Version = 13
	for _, tc := range []struct {
		name string
		req  *kmsg.FetchRequest
		want error
	}{
		{"unknown id", request(f.id^1, 1, nil), kerr.FetchSessionIDNotFound},
		{"epoch ahead", request(f.id, 2, nil), kerr.InvalidFetchSessionEpoch},
		{"names became ids", byID, kerr.FetchSessionTopicIDError},
	} {
		if _, err := c.Open(tc.req, start); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
	}
	open(t, c, request(f.id, finalEpoch, map[int32]int64{0: 0}), start)
	if _, err := c.Open(request(f.id, 1, nil), start); !errors.Is(err, kerr.FetchSessionIDNotFound) {
		t.Errorf("after the final epoch: %v", err)
	}
}

func TestKeepOnlyNews(t *testing.T) {
	c := New(10, time.Minute)
	f := open(t, c, request(0, 0, map[int32]int64{0: 0}), start)
	steps := []struct {
		answer Answer
		want   bool
	}{
		{Answer{HighWatermark: 5}, true}, // the first answer is full
		{Answer{HighWatermark: 5}, false},
		{Answer{HighWatermark: 6}, true},
		{Answer{HighWatermark: 6, LogStart: 2}, true},
		{Answer{HighWatermark: 6, LogStart: 2}, false},
		{Answer{HighWatermark: 6, LogStart: 2, Records: true}, true},
		{Answer{HighWatermark: 6, LogStart: 2, Special: true}, true},
		{Answer{HighWatermark: 6, LogStart: 2}, true}, // the error is gone
	}
	for i, s := range steps {
		if got := f.Keep(0, s.answer); got != s.want {
			t.Fatalf("step %d: %+v: keep %v, want %v", i, s.answer, got, s.want)
		}
		f = open(t, c, request(f.id, int32(i+1), nil), start)
	}
}

func TestRotateLetsOthersFirst(t *testing.T) {
	c := New(10, time.Minute)
	f := open(t, c, request(0, 0, map[int32]int64{0: 0, 1: 0, 2: 0}), start)
	f.Keep(0, Answer{Records: true})
	f.Keep(1, Answer{})
	f.Keep(2, Answer{})
	f.Rotate()
	f = open(t, c, request(f.id, 1, nil), start)
	if got, want := shown(f), "1@0 2@0 0@0"; got != want {
		t.Fatalf("order %q, want %q", got, want)
	}
}

func TestEviction(t *testing.T) {
	c := New(2, time.Minute)
	a := open(t, c, request(0, 0, map[int32]int64{0: 0, 1: 0}), start)
	b := open(t, c, request(0, 0, map[int32]int64{0: 0}), start.Add(time.Second))
	if f := open(t, c, request(0, 0, map[int32]int64{0: 0, 1: 0, 2: 0}), start.Add(2*time.Second)); f.SessionID() != 0 {
		t.Fatal("evicted a session in its first minute")
	}
	now := start.Add(59 * time.Second)
	open(t, c, request(a.id, 1, nil), now)
	open(t, c, request(b.id, 1, nil), now)
	now = start.Add(62 * time.Second)
	if f := open(t, c, request(0, 0, map[int32]int64{5: 0}), now); f.SessionID() != 0 {
		t.Fatal("evicted for one that is not larger")
	}
	if f := open(t, c, request(0, 0, map[int32]int64{0: 0, 1: 0, 2: 0}), now); f.SessionID() == 0 {
		t.Fatal("found no room though a smaller old session was there")
	}
	if _, err := c.Open(request(b.id, 2, nil), now); !errors.Is(err, kerr.FetchSessionIDNotFound) {
		t.Fatalf("the smaller session should be gone: %v", err)
	}
	now = now.Add(2 * time.Minute)
	if f := open(t, c, request(0, 0, map[int32]int64{5: 0}), now); f.SessionID() == 0 {
		t.Fatal("found no room though all were idle")
	}
}
