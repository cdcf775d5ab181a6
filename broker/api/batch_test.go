package api_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/klamm-io/klamm/protocol/compress"
	"github.com/klamm-io/klamm/protocol/record"
)

// batch is how a transcript writes a record batch: one record for each value.
type batch struct {
	Values        []string
	NoKeys        bool
	Times         []int64 // of the records, milliseconds; now where there are none
	Codec         string
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32
	BaseOffset    int64
	Transactional bool
	Control       bool
	Filler        int    // bytes that each value is made longer by
	Break         string // what is wrong with it, see breaks
}

// breaks are what can be wrong with a batch. All but the first leave its checksum
// right.
var breaks = map[string]func(b record.Batch) record.Batch{
	"crc":         func(b record.Batch) record.Batch { b[20] ^= 1; return b },
	"count":       func(b record.Batch) record.Batch { b[60]++; b.Seal(); return b },
	"count=0":     func(b record.Batch) record.Batch { b[60] = 0; b.Seal(); return b },
	"lastDelta":   func(b record.Batch) record.Batch { b[26]++; b.Seal(); return b },
	"both":        func(b record.Batch) record.Batch { b[26]++; b[60]++; b.Seal(); return b },
	"magic":       func(b record.Batch) record.Batch { b[16] = 7; return b },
	"magic=1":     func(b record.Batch) record.Batch { b[16] = 1; return b },
	"magic=0":     func(b record.Batch) record.Batch { b[16] = 0; return b },
	"codec":       func(b record.Batch) record.Batch { b[22] = b[22]&^7 | 5; b.Seal(); return b },
	"logAppend":   func(b record.Batch) record.Batch { b[22] |= 8; b.Seal(); return b },
	"maxTime":     func(b record.Batch) record.Batch { b[42]++; b.Seal(); return b },
	"cut":         func(b record.Batch) record.Batch { return b[:len(b)-1] },
	"cut header":  func(b record.Batch) record.Batch { return b[:30] },
	"extra":       func(b record.Batch) record.Batch { return append(b, 0, 0, 0) },
	"length":      func(b record.Batch) record.Batch { binary.BigEndian.PutUint32(b[8:], 1<<30); return b },
	"length=0":    func(b record.Batch) record.Batch { binary.BigEndian.PutUint32(b[8:], 0); return b },
	"length=-1":   func(b record.Batch) record.Batch { binary.BigEndian.PutUint32(b[8:], 1<<32-1); return b },
	"record size": func(b record.Batch) record.Batch { b[record.HeaderSize] += 2; b.Seal(); return b },
	"payload": func(b record.Batch) record.Batch {
		for i := record.HeaderSize; i < len(b); i++ {
			b[i] = 0xA5
		}
		b.Seal()
		return b
	},
}

// batchesOf builds the batches that a transcript describes, one after the other.
func batchesOf(t *testing.T, described []any) []byte {
	var all []byte
	for _, d := range described {
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		as := batch{ProducerID: record.None, ProducerEpoch: record.None, BaseSequence: record.None}
		decoder := json.NewDecoder(strings.NewReader(string(text)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&as); err != nil {
			t.Fatal(err)
		}
		all = append(all, as.build(t)...)
	}
	return all
}

func (d *batch) build(t *testing.T) record.Batch {
	b := record.NewBuilder()
	b.ProducerID, b.ProducerEpoch, b.BaseSequence = d.ProducerID, d.ProducerEpoch, d.BaseSequence
	b.BaseOffset, b.Transactional, b.Control = d.BaseOffset, d.Transactional, d.Control
	for codec := compress.None; codec <= compress.Zstd; codec++ {
		if codec.String() == d.Codec {
			b.Codec = codec
		}
	}
	for i, value := range d.Values {
		at, key := time.Now().UnixMilli(), []byte("key")
		if len(d.Times) > 0 {
			at = d.Times[i]
		}
		if d.NoKeys {
			key = nil
		}
		b.Append(at, key, []byte(value+strings.Repeat("x", d.Filler)))
	}
	built, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	if d.Break == "" {
		return built
	}
	spoil, known := breaks[d.Break]
	if !known {
		t.Fatalf("no way to break a batch is called %q", d.Break)
	}
	return spoil(built)
}

// describeBatches says what a fetch brought.
func describeBatches(b []byte) string {
	var all []string
	for len(b) > 0 {
		batch, rest, err := record.Next(b)
		if errors.Is(err, record.ErrShort) {
			break // a broker may cut the last one off, and readers leave it out
		}
		if err != nil {
			all = append(all, err.Error())
			break
		}
		all = append(all, describeBatch(batch))
		b = rest
	}
	return "[" + strings.Join(all, "; ") + "]"
}

func describeBatch(b record.Batch) string {
	if err := b.Verify(); err != nil {
		return err.Error()
	}
	var values []string
	var scratch record.Scratch
	err := b.Each(&scratch, 1<<20, func(r *record.Record) error {
		at := fmt.Sprint(b.Timestamp(r))
		if isNow(b.Timestamp(r)) {
			at = "<now>"
		}
		values = append(values, fmt.Sprintf("%s=%.20s@%s", r.Key, r.Value, at))
		return nil
	})
	if err != nil {
		return err.Error()
	}
	text := fmt.Sprintf("%d-%d %s", b.BaseOffset(), b.LastOffset(), strings.Join(values, " "))
	if b.Attributes().Codec() != compress.None {
		text += " " + b.Attributes().Codec().String()
	}
	if b.ProducerID() >= 0 {
		text += fmt.Sprintf(" producer %d/%d sequence %d", b.ProducerID(), b.ProducerEpoch(), b.BaseSequence())
	}
	return text
}
