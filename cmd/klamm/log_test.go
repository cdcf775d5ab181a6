package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klamm-io/klamm/protocol/compress"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/log"
)

// writeSegment makes a partition's folder with one segment of two batches.
func writeSegment(t *testing.T, dir string) (path string) {
	t.Helper()
	var text []byte
	for i, codec := range []compress.Codec{compress.None, compress.Zstd} {
		b := record.NewBuilder()
		b.Codec, b.BaseOffset = codec, int64(2*i)
		b.Append(1000, []byte("k"), []byte("v\n"))
		b.Append(2000, nil, []byte("plain"), record.Header{Key: []byte("h"), Value: []byte{0xff}})
		batch, err := b.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, batch...)
	}
	folder := filepath.Join(dir, "flights-0")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(folder, "00000000000000000000.log")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDumpBatches(t *testing.T) {
	dir := t.TempDir()
	writeSegment(t, dir)
	got := try(t, "", "log", "dump", dir)
	var columns []string
	for line := range strings.Lines(got.out) {
		f := strings.Fields(line)
		columns = append(columns, strings.Join(append(f[:2], f[3:9]...), " "))
	}
	want := []string{
		"FILE POSITION BASE-OFFSET LAST-OFFSET COUNT LEADER-EPOCH CODEC MAX-TIMESTAMP",
		"flights-0/00000000000000000000.log 0 0 1 2 -1 none 2000",
		"flights-0/00000000000000000000.log 88 2 3 2 -1 zstd 2000",
	}
	if got.code != exitOK || fmt.Sprintf("%q", columns) != fmt.Sprintf("%q", want) {
		t.Errorf("exit %d %s, got\n%q\nwant\n%q", got.code, got.errOut, columns, want)
	}
}

func TestDumpRecords(t *testing.T) {
	path := writeSegment(t, t.TempDir())
	got := try(t, "", "log", "dump", path, "--records", "-o", "json")
	var rows []dumpedRecord
	if err := json.Unmarshal([]byte(got.out), &rows); err != nil || len(rows) != 4 {
		t.Fatalf("%v in %s%s", err, got.out, got.errOut)
	}
	last := rows[3]
	if last.Offset != 3 || last.Timestamp != 2000 || last.Key != nil || *last.Value != "plain" || last.File != path ||
		len(last.Headers) != 1 || string(last.Headers[0].ValueBase64) != "\xff" {
		t.Errorf("last record %+v", last)
	}
	table := try(t, "", "log", "dump", path, "--records")
	if !strings.Contains(table.out, `0       1000       k     "v\n"`) || !strings.Contains(table.out, "3       2000       null  plain") {
		t.Errorf("got\n%s", table.out)
	}
}

func TestDumpOfNothing(t *testing.T) {
	for args, says := range map[string]string{
		t.TempDir():                       "there are no segments in",
		filepath.Join(t.TempDir(), "no"):  "no such file",
		filepath.Join(t.TempDir(), "log"): "Name a folder of logs",
	} {
		if got := try(t, "", "log", "dump", args); got.code != exitFail || !strings.Contains(got.errOut, says) {
			t.Errorf("exit %d, said %s, want %s", got.code, got.errOut, says)
		}
	}
}

func TestVerify(t *testing.T) {
	dir := t.TempDir()
	path := writeSegment(t, dir)
	sound := try(t, "", "log", "verify", dir)
	if sound.code != exitOK || !strings.HasPrefix(sound.out, "verified 1 partition, 1 segment, 2 batches, 4 records, ") {
		t.Errorf("exit %d: %s%s", sound.code, sound.out, sound.errOut)
	}
	flipByte(t, path, 80)
	torn := try(t, "", "log", "verify", dir, "-o", "json")
	var v verification
	if err := json.Unmarshal([]byte(torn.out), &v); err != nil {
		t.Fatal(err)
	}
	if torn.code != exitFail || v.Problems == 0 || v.Findings[0].File != path || v.Findings[0].Position != 0 || *v.Findings[0].Offset != 0 {
		t.Errorf("exit %d: %s%s", torn.code, torn.out, torn.errOut)
	}
}

func flipByte(t *testing.T, path string, at int) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[at] ^= 1
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyKeepsOnlyTheFirstFindings(t *testing.T) {
	var v verification
	for range maxFindings + 5 {
		v.found(log.Finding{Offset: -1})
	}
	if v.Problems != maxFindings+5 || len(v.Findings) != maxFindings || v.Findings[0].Offset != nil {
		t.Errorf("%d problems, %d told", v.Problems, len(v.Findings))
	}
}

func TestStreamPrintsWhatShowPrints(t *testing.T) {
	type row struct {
		A int    `json:"a"`
		B string `json:"b"`
	}
	for _, rows := range [][]row{{}, {{1, "x"}}, {{1, "x"}, {2, "<y>"}}} {
		for _, format := range outputFormats {
			var whole, streamed bytes.Buffer
			table := newTable("A", "B")
			s := (&environment{out: &streamed}).stream(outputFormat(format), "A", "B")
			for _, r := range rows {
				table.add(r.A, r.B)
				if err := s.add(r, r.A, r.B); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
			if err := (&environment{out: &whole}).show(outputFormat(format), table, rows); err != nil {
				t.Fatal(err)
			}
			if whole.String() != streamed.String() {
				t.Errorf("%d rows as %s: streamed\n%s\nwhole\n%s", len(rows), format, &streamed, &whole)
			}
		}
	}
}
