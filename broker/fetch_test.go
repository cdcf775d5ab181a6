package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/test/wire"
)

// TestFetchVersions: every version gives the records back, by name and by id.
func TestFetchVersions(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir())
	n.create(nil, "t")
	n.mustPut("t", "a", "b")
	id := topicID(t, n, "t")
	for v := int16(4); v <= 18; v++ {
		req := fetchRequest(v, "t", 0)
		if v >= 13 {
			req.Topics[0].Topic, req.Topics[0].TopicID = "", id
		}
		p := ask[*kmsg.FetchResponse](n, req).Topics[0].Partitions[0]
		if got := stored(t, p); p.ErrorCode != 0 || p.HighWatermark != 2 || len(got) != 2 {
			t.Errorf("version %d: error %d, high watermark %d, %q", v, p.ErrorCode, p.HighWatermark, got)
		}
	}
	unknown := fetchRequest(13, "", 0)
	unknown.Topics[0].TopicID = [16]byte{1}
	if p := ask[*kmsg.FetchResponse](n, unknown).Topics[0].Partitions[0]; p.ErrorCode != kerr.UnknownTopicID.Code {
		t.Errorf("an unknown topic id: error %d", p.ErrorCode)
	}
}

// TestFetchBounds: offsets outside the log, past epochs and limits of size.
func TestFetchBounds(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir())
	n.create(nil, "t")
	n.mustPut("t", "a", "b", "c")
	n.mustPut("t", "d")
	for offset, want := range map[int64]*kerr.Error{-1: kerr.OffsetOutOfRange, 5: kerr.OffsetOutOfRange, 1 << 60: kerr.OffsetOutOfRange} {
		if p := n.get("t", offset); p.ErrorCode != want.Code || p.HighWatermark != -1 {
			t.Errorf("offset %d: error %d, high watermark %d", offset, p.ErrorCode, p.HighWatermark)
		}
	}
	n.holds("t", 4)                     // the end: nothing, but no error
	n.holds("t", 1, "a", "b", "c", "d") // whole batches
	n.holds("t", 3, "d")
	epoch := fetchRequest(11, "t", 0)
	epoch.Topics[0].Partitions[0].CurrentLeaderEpoch = 9
	if p := ask[*kmsg.FetchResponse](n, epoch).Topics[0].Partitions[0]; p.ErrorCode != kerr.UnknownLeaderEpoch.Code {
		t.Errorf("a leader epoch to come: error %d", p.ErrorCode)
	}
	tiny := fetchRequest(11, "t", 0)
	tiny.MaxBytes, tiny.Topics[0].Partitions[0].PartitionMaxBytes = 1, 1
	if got := stored(t, ask[*kmsg.FetchResponse](n, tiny).Topics[0].Partitions[0]); len(got) != 3 {
		t.Errorf("limits below a batch give %q, want the first batch whole", got)
	}
	diverging := fetchRequest(12, "t", 4)
	diverging.Topics[0].Partitions[0].LastFetchedEpoch = 0
	if p := ask[*kmsg.FetchResponse](n, diverging).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.DivergingEpoch.EndOffset != -1 {
		t.Errorf("a reader that does not diverge is answered %+v", p)
	}
}

// TestLongPoll: a fetch waits for as many bytes as it asks for, is answered as
// soon as they are committed, and after its time with what there is.
func TestLongPoll(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir())
	n.create(nil, "t")
	wait := func(minBytes, ms int32) (<-chan time.Duration, func() *kmsg.FetchResponse) {
		req := fetchRequest(11, "t", 0)
		req.MinBytes, req.MaxWaitMillis = minBytes, ms
		c, took, answer := n.dial(), make(chan time.Duration, 1), make(chan *kmsg.FetchResponse, 1)
		began := time.Now()
		if err := c.Send(wire.Frame(req, 1)); err != nil {
			t.Fatal(err)
		}
		go func() {
			frame, err := c.Receive()
			took <- time.Since(began)
			if err != nil {
				t.Error(err)
				close(answer)
				return
			}
			resp, _ := wire.Decode(req, frame)
			answer <- resp.(*kmsg.FetchResponse)
		}()
		return took, func() *kmsg.FetchResponse { return <-answer }
	}
	took, answer := wait(1, 100)
	if d := <-took; d < 100*time.Millisecond || len(answer().Topics[0].Partitions[0].RecordBatches) > 0 {
		t.Errorf("a fetch without news is answered after %v", d)
	}
	took, answer = wait(1, 10_000)
	n.mustPut("t", "first")
	if d := <-took; d > 5*time.Second || len(stored(t, answer().Topics[0].Partitions[0])) != 1 {
		t.Errorf("a long poll is answered %v after it was asked", d)
	}
	size := int32(len(n.get("t", 0).RecordBatches))
	took, answer = wait(size+1, 10_000)
	select {
	case d := <-took:
		t.Errorf("a fetch of more than there is was answered after %v", d)
	case <-time.After(50 * time.Millisecond):
	}
	n.mustPut("t", "second")
	if d := <-took; d > 5*time.Second || len(stored(t, answer().Topics[0].Partitions[0])) != 2 {
		t.Errorf("a fetch of min bytes is answered %v after it was asked", d)
	}
	// Neither a deleted topic nor a stop lets a long poll wait.
	took, answer = wait(1<<20, 60_000)
	if _, err := kadm.NewClient(n.client()).DeleteTopics(deadline(t), "t"); err != nil {
		t.Fatal(err)
	}
	if d := <-took; d > 5*time.Second || answer().Topics[0].Partitions[0].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("a fetch of a deleted topic was answered after %v", d)
	}
	n.create(nil, "t")
	took, _ = wait(1<<20, 60_000)
	p, err := n.partitions.Get("t", 0)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the fetch waits", func() bool { return p.Polls().Waiting() == 1 })
	n.stopClean()
	if d := <-took; d > 5*time.Second {
		t.Errorf("a fetch that waits held up the stop for %v", d)
	}
}

// TestFetchSession: an incremental fetch tells only news, follows what the client
// adds and forgets, and holds to its epochs.
func TestFetchSession(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir())
	n.create(nil, "a", "b")
	c := n.dial()
	req := fetchRequest(11, "a", 0)
	req.SessionEpoch = 0
	req.Topics = append(req.Topics, fetchRequest(11, "b", 0).Topics...)
	full := askOn[*kmsg.FetchResponse](t, c, req)
	if full.SessionID == 0 || len(full.Topics) != 2 {
		t.Fatalf("the first answer has session %d, %d topics", full.SessionID, len(full.Topics))
	}
	epoch := int32(0)
	next := func(edit func(*kmsg.FetchRequest)) *kmsg.FetchResponse {
		t.Helper()
		req := fetchRequest(11, "", 0)
		req.Topics = nil
		epoch++
		req.SessionID, req.SessionEpoch = full.SessionID, epoch
		if edit != nil {
			edit(req)
		}
		return askOn[*kmsg.FetchResponse](t, c, req)
	}
	if resp := next(nil); len(resp.Topics) != 0 || resp.ErrorCode != 0 {
		t.Errorf("without news: %+v", resp)
	}
	n.mustPut("b", "x")
	if resp := next(nil); len(resp.Topics) != 1 || resp.Topics[0].Topic != "b" || len(stored(t, resp.Topics[0].Partitions[0])) != 1 {
		t.Errorf("news of b: %+v", resp)
	}
	// The client moves on in b, and forgets a.
	resp := next(func(r *kmsg.FetchRequest) {
		r.Topics = fetchRequest(11, "b", 1).Topics
		r.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: "a", Partitions: []int32{0}}}
	})
	if len(resp.Topics) != 0 {
		t.Errorf("after it moved on: %+v", resp)
	}
	n.mustPut("a", "forgotten")
	if resp := next(nil); len(resp.Topics) != 0 {
		t.Errorf("news of what was forgotten: %+v", resp)
	}
	if resp := next(func(r *kmsg.FetchRequest) { r.SessionEpoch = 99 }); resp.ErrorCode != kerr.InvalidFetchSessionEpoch.Code {
		t.Errorf("a wrong epoch is answered with %d", resp.ErrorCode)
	}
	if resp := next(func(r *kmsg.FetchRequest) { r.SessionID = 12345 }); resp.ErrorCode != kerr.FetchSessionIDNotFound.Code {
		t.Errorf("an unknown session is answered with %d", resp.ErrorCode)
	}
}

// TestListOffsets: by place, by time, by largest timestamp, and what is not there.
func TestListOffsets(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir())
	n.create(nil, "t")
	list := func(timestamp int64) kmsg.ListOffsetsResponseTopicPartition {
		t.Helper()
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version, req.ReplicaID = 8, -1
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic = "t"
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp, p.CurrentLeaderEpoch = timestamp, -1
		topic.Partitions = append(topic.Partitions, p)
		req.Topics = append(req.Topics, topic)
		return ask[*kmsg.ListOffsetsResponse](n, req).Topics[0].Partitions[0]
	}
	if p := list(1); p.Offset != -1 || p.ErrorCode != 0 {
		t.Errorf("a time in an empty log: %+v", p)
	}
	if p := list(-3); p.Offset != -1 || p.ErrorCode != 0 {
		t.Errorf("the largest timestamp of an empty log: %+v", p)
	}
	now := time.Now().UnixMilli()
	for i, times := range [][]int64{{now, now + 500, now + 200}, {now + 300}, {now + 900, now + 100}} {
		b := record.NewBuilder()
		for j, ts := range times {
			b.Append(ts, nil, fmt.Append(nil, i, j))
		}
		if a := n.put("t", build(t, b)); a.ErrorCode != 0 {
			t.Fatalf("%+v", a)
		}
	}
	for _, c := range []struct{ ask, offset, timestamp int64 }{
		{-1, 6, -1}, {-2, 0, -1}, {-4, 0, -1}, {-3, 4, now + 900},
		{0, 0, now}, {now, 0, now}, {now + 1, 1, now + 500}, {now + 501, 4, now + 900}, {now + 901, -1, -1},
	} {
		if p := list(c.ask); p.Offset != c.offset || p.Timestamp != c.timestamp || p.ErrorCode != 0 {
			t.Errorf("%d: offset %d at %d, error %d; want %d at %d", c.ask-now, p.Offset, p.Timestamp-now, p.ErrorCode, c.offset, c.timestamp-now)
		}
	}
}

// TestReadCommitted: without transactions, both isolation levels read the same.
func TestReadCommitted(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir())
	n.create(nil, "t")
	n.mustPut("t", "a")
	req := fetchRequest(11, "t", 0)
	req.IsolationLevel = 1
	p := ask[*kmsg.FetchResponse](n, req).Topics[0].Partitions[0]
	if len(stored(t, p)) != 1 || p.LastStableOffset != 1 || p.AbortedTransactions == nil || len(p.AbortedTransactions) != 0 {
		t.Errorf("read_committed: %+v", p)
	}
	if p := n.get("t", 0); p.AbortedTransactions != nil {
		t.Errorf("read_uncommitted lists aborted transactions: %+v", p.AbortedTransactions)
	}
}
