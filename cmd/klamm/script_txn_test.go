package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/protocol/record"
)

// beginTransaction is `begin ID TOPIC PARTITION`: it writes a record in a
// transaction and leaves that open.
func beginTransaction(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: begin ID TOPIC PARTITION")
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(ts.Getenv("KLAMM_BROKERS")), kgo.TransactionalID(args[0]), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	ts.Check(err)
	defer client.Close()
	ts.Check(client.BeginTransaction())
	ctx, cancel := context.WithTimeout(context.Background(), processLimit)
	defer cancel()
	r := &kgo.Record{Topic: args[1], Partition: int32(numberOf(ts, args[2])), Value: []byte("open")}
	ts.Check(client.ProduceSync(ctx, r).FirstErr())
}

func numberOf(ts *testscript.TestScript, text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	ts.Check(err)
	return n
}

// hangTransaction is `hang TOPIC PARTITION OFFSET PRODUCER`: while the broker is
// halted it appends a record of a transaction that no coordinator knows.
func hangTransaction(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: hang TOPIC PARTITION OFFSET PRODUCER")
	}
	b := record.NewBuilder()
	b.Transactional, b.BaseOffset, b.LeaderEpoch = true, numberOf(ts, args[2]), 0
	b.ProducerID, b.ProducerEpoch, b.BaseSequence = numberOf(ts, args[3]), 0, 0
	b.Append(1_357_034_400_000, nil, []byte("lost"))
	batch, err := b.Build(nil)
	ts.Check(err)
	ts.Check(os.Remove(ts.MkAbs("data/.kafka_cleanshutdown"))) // so that the log's end is looked for
	file, err := os.OpenFile(filepath.Join(ts.MkAbs("data"), args[0]+"-"+args[1], "00000000000000000000.log"), os.O_APPEND|os.O_WRONLY, 0)
	ts.Check(err)
	defer file.Close()
	_, err = file.Write(batch)
	ts.Check(err)
}
