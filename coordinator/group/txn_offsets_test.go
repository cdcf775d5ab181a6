package group

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/step"
)

// txnLog is a coordinator and what it wrote, with the transactions that it wrote
// in.
type txnLog struct {
	*Coordinator
	t     *testing.T
	wrote []step.Write
}

func newTxnLog(t *testing.T) *txnLog {
	return &txnLog{Coordinator: New(Config{OffsetMetadataMax: 10}, nil, slog.New(slog.DiscardHandler)), t: t}
}

// do appends what a step wrote, or refuses it.
func (l *txnLog) do(out Output, refuse error) []Reply {
	replies := out.Replies
	for _, w := range out.Writes {
		if refuse == nil {
			l.wrote = append(l.wrote, w)
		}
		replies = append(replies, w.Done(refuse)...)
	}
	return replies
}

// run takes steps such as "7 commits 5" (in its transaction), "plain commits 6",
// "7 ends", "7 aborts", on partition t-0 of group g.
func (l *txnLog) run(steps string) {
	l.t.Helper()
	now := time.UnixMilli(1000)
	for _, text := range strings.Split(steps, ", ") {
		var producer, offset int64
		switch {
		case scan(text, "plain commits %d", &offset):
			req := kmsg.NewPtrOffsetCommitRequest()
			req.Version, req.Group, req.Generation = 8, "g", -1
			req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: offset}}}}
			l.do(l.OffsetCommit(req, "", now), nil)
		case scan(text, "%d commits %d", &producer, &offset):
			l.do(l.TxnOffsetCommit(txnCommit(producer, offset), 1, "", now), nil)
		case scan(text, "%d ends", &producer):
			l.do(l.EndTxn(step.Marker{ProducerID: producer, Commit: true}, "", now), nil)
		case scan(text, "%d aborts", &producer):
			l.do(l.EndTxn(step.Marker{ProducerID: producer}, "", now), nil)
		default:
			l.t.Fatalf("no such step: %s", text)
		}
	}
}

func scan(text, form string, into ...any) bool {
	n, err := fmt.Sscanf(text, form, into...)
	return err == nil && n == len(into)
}

func txnCommit(producer, offset int64) *kmsg.TxnOffsetCommitRequest {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.Version, req.Group, req.Generation, req.ProducerID = 3, "g", -1, producer
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: offset, LeaderEpoch: -1}}}}
	return req
}

// replayed is a coordinator that read what this one wrote.
func (l *txnLog) replayed() *Coordinator {
	c := New(Config{}, nil, slog.New(slog.DiscardHandler))
	for _, w := range l.wrote {
		if w.Marker != nil {
			c.ReplayMarker(w.Marker.ProducerID, w.Marker.Commit, time.UnixMilli(2000))
		}
		for _, r := range w.Records {
			var err error
			if w.Producer != nil {
				err = c.ReplayPending(w.Producer.ID, r.Key, r.Value, time.UnixMilli(2000))
			} else {
				err = c.Replay(r.Key, r.Value, time.UnixMilli(2000))
			}
			if err != nil {
				l.t.Fatal(err)
			}
		}
	}
	return c
}

func offsetOfT0(c *Coordinator, stable bool) (offset int64, code int16) {
	asked := []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{0}}}
	told := c.Offsets("g", asked)
	if stable {
		told = c.StableOffsets("g", asked)
	}
	return told[0].Partitions[0].Offset, told[0].Partitions[0].ErrorCode
}

// TestTxnOffsets: offsets of a transaction count from its commit on; of several
// offsets the one that was written last stands, whenever its transaction ended.
func TestTxnOffsets(t *testing.T) {
	for _, c := range []struct {
		steps    string
		want     int64
		unstable bool
	}{
		{"7 commits 5", -1, true},
		{"7 commits 5, 7 ends", 5, false},
		{"7 commits 5, 7 aborts", -1, false},
		{"plain commits 3, 7 commits 5", 3, true},
		{"plain commits 3, 7 commits 5, 7 aborts", 3, false},
		{"plain commits 3, 7 commits 5, 7 ends", 5, false},
		{"7 commits 5, plain commits 6, 7 ends", 6, false},
		{"7 commits 5, 7 commits 8, 7 ends", 8, false},
		{"7 commits 5, 8 commits 9, 8 ends, 7 ends", 9, false},
		{"7 commits 5, 8 commits 9, 7 ends, 8 aborts", 5, false},
		{"7 commits 5, 8 commits 9, 7 ends", 5, true},
		{"7 commits 5, 7 aborts, 7 commits 6, 7 ends", 6, false},
		{"7 ends, 7 commits 5", -1, true},
	} {
		l := newTxnLog(t)
		l.run(c.steps)
		for what, coordinator := range map[string]*Coordinator{"": l.Coordinator, ", replayed": l.replayed()} {
			if got, code := offsetOfT0(coordinator, false); got != c.want || code != 0 {
				t.Errorf("%s%s: offset %d, error %d; want %d", c.steps, what, got, code, c.want)
			}
			if _, code := offsetOfT0(coordinator, true); (code == kerr.UnstableOffsetCommit.Code) != c.unstable {
				t.Errorf("%s%s: the stable offset is answered with %d", c.steps, what, code)
			}
		}
	}
}

// A group with an open transaction is not forgotten, and offsets that could not be
// written do not count.
func TestTxnOffsetsThatFailOrWait(t *testing.T) {
	l := newTxnLog(t)
	l.config.OffsetsRetention = time.Second
	replies := l.do(l.TxnOffsetCommit(txnCommit(7, 5), 1, "x", time.UnixMilli(0)), kerr.InvalidTxnState)
	answer := replies[0].Response.(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions[0]
	if !errors.Is(kerr.ErrorForCode(answer.ErrorCode), kerr.InvalidTxnState) || len(l.pending) != 0 {
		t.Errorf("a refused commit is answered with %d and leaves %v", answer.ErrorCode, l.pending)
	}
	long := txnCommit(7, 5)
	long.Topics[0].Partitions[0].Metadata = kmsg.StringPtr("far too long")
	replies = l.do(l.TxnOffsetCommit(long, 1, "x", time.UnixMilli(0)), nil)
	if answer := replies[0].Response.(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions[0]; answer.ErrorCode != kerr.OffsetMetadataTooLarge.Code {
		t.Errorf("long metadata is answered with %d", answer.ErrorCode)
	}
	l.run("7 commits 5")
	if out := l.Expire(time.UnixMilli(1_000_000)); len(out.Writes) != 0 {
		t.Error("a group with an open transaction is forgotten")
	}
	l.run("7 aborts")
	if out := l.Expire(time.UnixMilli(1_000_000)); len(out.Writes) != 1 {
		t.Error("a group without anything is kept")
	}
}
