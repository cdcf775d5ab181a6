package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

// TestDeleteRecords moves a log's start, which a restart keeps.
func TestDeleteRecords(t *testing.T) {
	t.Parallel()
	fs := disk.NewMemory()
	n := start(t, fs, "/d")
	n.create(nil, "t")
	n.mustPut("t", "a")
	n.mustPut("t", "b", "c", "d")
	remove := func(n *node, before int64) (int64, error) {
		t.Helper()
		offsets := kadm.Offsets{}
		offsets.AddOffset("t", 0, before, -1)
		answers, err := kadm.NewClient(n.client()).DeleteRecords(deadline(t), offsets)
		if err != nil {
			t.Fatal(err)
		}
		a, _ := answers.Lookup("t", 0)
		return a.LowWatermark, a.Err
	}
	if low, err := remove(n, 2); low != 2 || err != nil {
		t.Errorf("delete records before 2: %d, %v", low, err)
	}
	if _, err := remove(n, 5); !errors.Is(err, kerr.OffsetOutOfRange) {
		t.Errorf("delete records beyond the end: %v", err)
	}
	if low, err := remove(n, 1); low != 2 || err != nil {
		t.Errorf("delete records before the start: %d, %v", low, err)
	}
	n.stopClean()
	n = start(t, fs, "/d")
	if p := n.get("t", 1); p.ErrorCode != kerr.OffsetOutOfRange.Code {
		t.Errorf("a deleted record: error %d", p.ErrorCode)
	}
	if p := n.get("t", 2); p.LogStartOffset != 2 || len(stored(t, p)) != 3 { // its batch is whole
		t.Errorf("after a restart: %+v", p)
	}
	if low, err := remove(n, -1); low != 4 || err != nil {
		t.Errorf("delete all records: %d, %v", low, err)
	}
	n.mustPut("t", "e")
	n.holds("t", 4, "e")
}

// TestRetention: old and surplus segments go while the newest records stay.
func TestRetention(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := start(t, disk.OS, dir, "log.retention.check.interval.ms=50", "log.segment.delete.delay.ms=50")
	n.create(map[string]string{"segment.bytes": "1048576", "retention.bytes": "3000000", "retention.ms": "-1"}, "size")
	n.create(map[string]string{"segment.bytes": "1048576", "retention.ms": "60000", "message.timestamp.before.max.ms": "9223372036854775807"}, "time")
	for i := range 16 {
		n.mustPut("size", strings.Repeat("s", 500_000), fmt.Sprint(i))
		old := record.NewBuilder()
		old.Append(time.Now().Add(-time.Hour).UnixMilli(), nil, []byte(strings.Repeat("t", 500_000)))
		if a := n.put("time", build(t, old)); a.ErrorCode != 0 {
			t.Fatalf("%+v", a)
		}
	}
	n.mustPut("time", "young")
	eventually(t, "the log keeps retention.bytes", func() bool {
		p := n.get("size", 31)
		return p.LogStartOffset >= 18 && p.LogStartOffset <= 26 && len(stored(t, p)) > 0
	})
	eventually(t, "old segments are gone, all but the one with a young record", func() bool {
		return n.get("time", 16).LogStartOffset >= 14
	})
	if got := stored(t, n.get("time", 16)); len(got) != 1 || got[0] != "young" {
		t.Errorf("the young record became %d records", len(got))
	}
	eventually(t, "the files of old segments are removed", func() bool {
		left, err := filepath.Glob(filepath.Join(dir, "time-0", "*.log*"))
		return err == nil && len(left) <= 2
	})
}

// TestRecreate: a topic is deleted and made anew while a client produces to it. The
// client is told that its topic is gone, and the new one has none of its records.
func TestRecreate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := start(t, disk.OS, dir, "log.segment.delete.delay.ms=10", "auto.create.topics.enable=false")
	n.create(nil, "t")
	adm := kadm.NewClient(n.client())
	ctx, cancel := context.WithCancel(deadline(t))
	defer cancel()
	var round, produced atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		cl := n.client(kgo.DefaultProduceTopic("t"), kgo.UnknownTopicRetries(-1))
		for ctx.Err() == nil {
			err := cl.ProduceSync(ctx, &kgo.Record{Value: fmt.Append(nil, round.Load())}).FirstErr()
			switch {
			case err == nil:
				produced.Add(1)
			case errors.Is(err, kerr.UnknownTopicID): // franz-go wants to be told that the new topic is meant
				cl.PurgeTopicsFromClient("t")
			}
		}
	}()
	for i := range int64(4) {
		from := produced.Load()
		eventually(t, "records are produced to the new topic", func() bool { return produced.Load() > from+3 })
		round.Store(i + 1)
		if _, err := adm.DeleteTopics(ctx, "t"); err != nil {
			t.Fatal(err)
		}
		if answer, err := adm.CreateTopic(ctx, 1, 1, nil, "t"); err != nil || answer.Err != nil {
			t.Fatal(err, answer.Err)
		}
	}
	eventually(t, "the last topic has records", func() bool { return len(stored(t, n.get("t", 0))) > 3 })
	cancel()
	<-done
	for i, v := range stored(t, n.get("t", 0)) {
		if v < "3" {
			t.Errorf("record %d is of topic %s", i, v)
		}
	}
	eventually(t, "the files of deleted topics are removed", func() bool {
		left, err := filepath.Glob(filepath.Join(dir, "*-delete"))
		return err == nil && len(left) == 0
	})
	n.stopClean()
}

// TestCreatePartitions: a client that runs finds the new partitions.
func TestCreatePartitions(t *testing.T) {
	t.Parallel()
	n := start(t, disk.OS, t.TempDir())
	n.create(nil, "t")
	consumer := n.client(kgo.ConsumeTopics("t"), kgo.MetadataMaxAge(100*time.Millisecond))
	producer := n.client(kgo.DefaultProduceTopic("t"), kgo.MetadataMaxAge(100*time.Millisecond))
	if err := producer.ProduceSync(deadline(t), &kgo.Record{Value: []byte("0")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	answers, err := kadm.NewClient(producer).CreatePartitions(deadline(t), 2, "t")
	if err != nil || answers.Error() != nil {
		t.Fatal(err, answers.Error())
	}
	if p := n.putTo("t", 2, values(t, "2")); p != 0 {
		t.Fatalf("produce to the new partition: error %d", p)
	}
	seen := map[int32]bool{}
	for _, r := range take(t, consumer, 2) {
		seen[r.Partition] = true
	}
	if !seen[0] || !seen[2] {
		t.Errorf("records came from partitions %v", seen)
	}
}

// TestConfigChange: what is altered at run time takes effect for the next
// produce, from a topic's own values and from the brokers' defaults.
func TestConfigChange(t *testing.T) {
	t.Parallel()
	fs := disk.NewMemory()
	n := start(t, fs, "/d")
	n.create(nil, "t")
	adm := kadm.NewClient(n.client())
	big := func() int16 { return n.put("t", values(t, strings.Repeat("x", 5000))).ErrorCode }
	alter := func(op kadm.IncrementalOp, value string) {
		t.Helper()
		answers, err := adm.AlterTopicConfigs(deadline(t), []kadm.AlterConfig{{Op: op, Name: "max.message.bytes", Value: &value}}, "t")
		if err != nil || answers[0].Err != nil {
			t.Fatal(err, answers)
		}
	}
	if code := big(); code != 0 {
		t.Fatalf("before: error %d", code)
	}
	alter(kadm.SetConfig, "1000")
	if code := big(); code != kerr.MessageTooLarge.Code {
		t.Errorf("with max.message.bytes=1000: error %d", code)
	}
	n.stopClean()
	n = start(t, fs, "/d")
	adm = kadm.NewClient(n.client())
	if code := big(); code != kerr.MessageTooLarge.Code {
		t.Errorf("after a restart: error %d", code)
	}
	alter(kadm.DeleteConfig, "")
	if code := big(); code != 0 {
		t.Errorf("back to the default: error %d", code)
	}
	value := "900"
	answers, err := adm.AlterBrokerConfigs(deadline(t), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "message.max.bytes", Value: &value}})
	if err != nil || answers[0].Err != nil {
		t.Fatal(err, answers)
	}
	if code := big(); code != kerr.MessageTooLarge.Code {
		t.Errorf("with message.max.bytes=900 for all brokers: error %d", code)
	}
}

// TestFlushPolicyChange: produces that wait for a flush are answered although the
// topic's acknowledgements stop waiting for flushes meanwhile.
func TestFlushPolicyChange(t *testing.T) {
	t.Parallel()
	fs := disk.NewFaulty(disk.NewMemory())
	n := start(t, fs, "/d")
	n.create(nil, "t")
	adm := kadm.NewClient(n.client())
	value := "1000000"
	for _, op := range []kadm.IncrementalOp{kadm.SetConfig, kadm.DeleteConfig, kadm.SetConfig, kadm.DeleteConfig} {
		fs.SlowSync(100 * time.Millisecond)
		answered := make(chan int16, 1)
		go func() { answered <- n.put("t", values(t, "x")).ErrorCode }()
		time.Sleep(20 * time.Millisecond) // so that it most likely waits for the flush
		if _, err := adm.AlterTopicConfigs(deadline(t), []kadm.AlterConfig{{Op: op, Name: "flush.messages", Value: &value}}, "t"); err != nil {
			t.Fatal(err)
		}
		fs.SlowSync(0)
		select {
		case code := <-answered:
			if code != 0 {
				t.Errorf("produce: error %d", code)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("a produce waits although its records are flushed")
		}
	}
}

// TestAutoCreation: a topic appears when a client names it, where that is allowed.
func TestAutoCreation(t *testing.T) {
	t.Parallel()
	for _, allowed := range []bool{true, false} {
		t.Run(fmt.Sprint(allowed), func(t *testing.T) {
			dir := t.TempDir()
			n := start(t, disk.OS, dir, fmt.Sprintf("auto.create.topics.enable=%v", allowed), "num.partitions=3")
			cl := n.client(kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("new"), kgo.UnknownTopicRetries(1))
			err := cl.ProduceSync(deadline(t), &kgo.Record{Value: []byte("x"), Partition: 2}).FirstErr()
			if allowed && err != nil || !allowed && !errors.Is(err, kerr.UnknownTopicOrPartition) {
				t.Errorf("produce to a topic that is not there: %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "new-2")); (err == nil) != allowed {
				t.Errorf("its folder: %v", err)
			}
		})
	}
}
