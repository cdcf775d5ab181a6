package main

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

// maxDecompressed bounds what one batch may grow to.
const maxDecompressed = 256 << 20

// dumpedBatch is one row of `klamm log dump`.
type dumpedBatch struct {
	File          string `json:"file"`
	Position      int64  `json:"position"`
	Size          int    `json:"size"`
	BaseOffset    int64  `json:"base_offset"`
	LastOffset    int64  `json:"last_offset"`
	Count         int32  `json:"count"`
	LeaderEpoch   int32  `json:"leader_epoch"`
	Codec         string `json:"codec"`
	TimestampType string `json:"timestamp_type"`
	MaxTimestamp  int64  `json:"max_timestamp"` // Unix milliseconds
	ProducerID    int64  `json:"producer_id"`
	ProducerEpoch int16  `json:"producer_epoch"`
	BaseSequence  int32  `json:"base_sequence"`
	Transactional bool   `json:"transactional"`
	Control       bool   `json:"control"`
}

// dumpedRecord is one row of `klamm log dump --records`. Of a text and its
// base64 form there is one, as `klamm consume` has it.
type dumpedRecord struct {
	File        string          `json:"file"`
	Offset      int64           `json:"offset"`
	Timestamp   int64           `json:"timestamp"` // Unix milliseconds
	Key         *string         `json:"key"`
	KeyBase64   []byte          `json:"key_base64,omitempty"`
	Value       *string         `json:"value"`
	ValueBase64 []byte          `json:"value_base64,omitempty"`
	Headers     []printedHeader `json:"headers"`
	Control     bool            `json:"control"`
}

func newLogDumpCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dump FOLDER…",
		Short: "List the batches in the files of logs, or their records",
		Long: `List the batches in the files of logs, or with --records the records in them. Name
a folder of logs (log.dirs), of one partition, or a single .log file.`,
		Example: `  klamm log dump klamm-data/flights-0
  klamm log dump klamm-data/flights-0/00000000000000000000.log --records -o json`,
		Args: arguments(1, -1),
	}
	records := cmd.Flags().Bool("records", false, "list records instead of batches")
	output := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		d := &dump{stream: env.stream(*output, "FILE", "POSITION", "SIZE", "BASE-OFFSET", "LAST-OFFSET", "COUNT",
			"LEADER-EPOCH", "CODEC", "MAX-TIMESTAMP", "PRODUCER-ID", "PRODUCER-EPOCH", "BASE-SEQUENCE", "KIND")}
		each := d.batch
		if *records {
			d.stream = env.stream(*output, "FILE", "OFFSET", "TIMESTAMP", "KEY", "VALUE")
			each = d.records
		}
		for _, path := range paths {
			if err := d.path(path, each); err != nil {
				return err
			}
		}
		return d.stream.close()
	}
	return cmd
}

// dump lists what is in segments.
type dump struct {
	stream  *stream
	file    string // the segment being read
	scratch record.Scratch
}

func (d *dump) path(path string, each func(record.Batch, int64) error) error {
	segments, err := segmentsIn(disk.OS, path)
	if err != nil {
		return err
	}
	for _, segment := range segments {
		d.file = segment
		if err := log.DumpSegment(disk.OS, segment, each); err != nil {
			return errors.Join(err, d.stream.flush())
		}
	}
	return nil
}

func (d *dump) batch(b record.Batch, position int64) error {
	row := newDumpedBatch(d.file, b, position)
	return d.stream.add(row, shortFile(row.File), row.Position, row.Size, row.BaseOffset, row.LastOffset, row.Count,
		row.LeaderEpoch, row.Codec, row.MaxTimestamp, row.ProducerID, row.ProducerEpoch, row.BaseSequence, row.kind())
}

func newDumpedBatch(file string, b record.Batch, position int64) dumpedBatch {
	attributes := b.Attributes()
	timestampType := "CreateTime"
	if attributes.LogAppendTime() {
		timestampType = "LogAppendTime"
	}
	return dumpedBatch{
		File: file, Position: position, Size: b.Size(),
		BaseOffset: b.BaseOffset(), LastOffset: b.LastOffset(), Count: b.Count(), LeaderEpoch: b.PartitionLeaderEpoch(),
		Codec: attributes.Codec().String(), TimestampType: timestampType, MaxTimestamp: b.MaxTimestamp(),
		ProducerID: b.ProducerID(), ProducerEpoch: b.ProducerEpoch(), BaseSequence: b.BaseSequence(),
		Transactional: attributes.Transactional(), Control: attributes.Control(),
	}
}

// kind is what sets a batch apart, for people.
func (b dumpedBatch) kind() string {
	var kinds []string
	if b.Transactional {
		kinds = append(kinds, "transactional")
	}
	if b.Control {
		kinds = append(kinds, "control")
	}
	return strings.Join(kinds, ",")
}

func (d *dump) records(b record.Batch, _ int64) error {
	return b.Each(&d.scratch, maxDecompressed, func(r *record.Record) error {
		row := dumpedRecord{
			File: d.file, Offset: b.BaseOffset() + int64(r.OffsetDelta), Timestamp: b.Timestamp(r),
			Headers: []printedHeader{}, Control: b.Attributes().Control(),
		}
		row.Key, row.KeyBase64 = textOrBytes(r.Key)
		row.Value, row.ValueBase64 = textOrBytes(r.Value)
		for _, h := range r.Headers {
			header := printedHeader{Key: string(h.Key)}
			header.Value, header.ValueBase64 = textOrBytes(h.Value)
			row.Headers = append(row.Headers, header)
		}
		return d.stream.add(row, shortFile(row.File), row.Offset, row.Timestamp, oneLine(r.Key), oneLine(r.Value))
	})
}

// oneLine shows bytes in one cell: text as it is, all else with escapes.
func oneLine(b []byte) string {
	if b == nil {
		return "null"
	}
	quoted := strconv.Quote(string(b))
	if plain := quoted[1 : len(quoted)-1]; plain == string(b) {
		return plain
	}
	if bytes.IndexFunc(b, func(r rune) bool { return r < ' ' || r == '\x7f' || r == '\ufffd' }) < 0 {
		return string(b)
	}
	return quoted
}
