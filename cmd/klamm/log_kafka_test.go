package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// kafkasFolder is a partition that Apache Kafka wrote, with transactions.
const kafkasFolder = "../../storage/log/testdata/kafka-transactions"

// TestDumpOfKafkasFiles reads what Apache Kafka wrote, over two segments: no offset
// is missing, and markers are told apart from records.
func TestDumpOfKafkasFiles(t *testing.T) {
	got := try(t, "", "log", "dump", kafkasFolder, "--records", "-o", "json")
	var rows []dumpedRecord
	if err := json.Unmarshal([]byte(got.out), &rows); err != nil || got.code != exitOK {
		t.Fatalf("exit %d, %v: %s", got.code, err, got.errOut)
	}
	var markers []int64
	for i, row := range rows {
		if row.Offset != int64(i) {
			t.Fatalf("row %d has offset %d", i, row.Offset)
		}
		if row.Control {
			markers = append(markers, row.Offset)
		}
	}
	want := []int64{17, 22, 25, 27, 29}
	if len(rows) != 30 || !slices.Equal(markers, want) {
		t.Errorf("%d records, markers at %v, want 30 and %v", len(rows), markers, want)
	}
	if table := try(t, "", "log", "dump", kafkasFolder); strings.Count(table.out, "transactional,control") != len(want) {
		t.Errorf("the markers' batches are not told apart:\n%s", table.out)
	}
}
