package txn

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/klamm-io/klamm/coordinator/step"
)

// The records in the description of the format are those that Kafka wrote: the
// tenth of kafka-records.txt, the thirteenth and the fourteenth.
func TestFormatPageShowsTransactions(t *testing.T) {
	drawn, wrote := drawnRecords(t), kafkaRecords(t)
	for title, number := range map[string]int{"a producer without a transaction": 9, "a transaction": 12, "a decision": 13} {
		got, want := drawn[title], wrote[number]
		if !bytes.Equal(got.Key, want.Key) || !bytes.Equal(got.Value, want.Value) {
			t.Errorf("%s is drawn as\n%x %x\nit is\n%x %x", title, got.Key, got.Value, want.Key, want.Value)
		}
		delete(drawn, title)
	}
	if len(drawn) > 0 {
		t.Errorf("drawn and not checked: %v", drawn)
	}
}

// drawnRecords are the records of the description, by title.
func drawnRecords(t *testing.T) map[string]step.Record {
	t.Helper()
	page, err := os.ReadFile("../../docs/formats/transaction-state.md")
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]step.Record{}
	for _, block := range strings.Split(string(page), "```hex ")[1:] {
		title, rest, _ := strings.Cut(block, "\n")
		drawing, _, _ := strings.Cut(rest, "```")
		key, value, found := strings.Cut(drawing, "\n\n")
		if !found {
			t.Fatalf("%s: no empty line between key and value", title)
		}
		records[title] = step.Record{Key: drawnBytes(t, key), Value: drawnBytes(t, value)}
	}
	return records
}

// drawnBytes reads the digits at the left of a drawing.
func drawnBytes(t *testing.T, drawing string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(drawing) {
		column, _, _ := strings.Cut(strings.TrimSpace(line), "   ")
		digits.WriteString(strings.ReplaceAll(column, " ", ""))
	}
	raw, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
