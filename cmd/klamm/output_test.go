package main

import (
	"bytes"
	"testing"
)

// sample has what YAML may read wrongly: texts that look like other things.
var sample = []map[string]any{{
	"number": 9223372036854775807, "text": "true", "digits": "007", "nothing": nil,
	"list": []int{}, "angle": "<a&b>", "lines": "a\nb", "hash": "a: #b",
}}

func TestYAMLKeepsWhatJSONSays(t *testing.T) {
	var out bytes.Buffer
	if err := writeYAML(&out, sample); err != nil {
		t.Fatal(err)
	}
	want := `- angle: <a&b>
  digits: "007"
  hash: 'a: #b'
  lines: |-
    a
    b
  list: []
  nothing: null
  number: 9223372036854775807
  text: "true"
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestJSONKeepsAngleBrackets(t *testing.T) {
	var out bytes.Buffer
	if err := writeJSON(&out, "<&>"); err != nil {
		t.Fatal(err)
	}
	if out.String() != "\"<&>\"\n" {
		t.Errorf("got %s", out.String())
	}
}

func TestTableAlignsAndMarksWhatIsMissing(t *testing.T) {
	offset := int64(12)
	table := newTable("TOPIC", "OFFSET", "REPLICAS")
	table.add("flights", &offset, []int32{1, 2})
	table.add("", (*int64)(nil), []int32(nil))
	var out bytes.Buffer
	if err := table.write(&out); err != nil {
		t.Fatal(err)
	}
	want := "TOPIC    OFFSET  REPLICAS\n" +
		"flights  12      1,2\n" +
		"-        -       -\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestGroupDigits(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 336776: "336,776", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := groupDigits(n); got != want {
			t.Errorf("groupDigits(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestByteSize(t *testing.T) {
	for n, want := range map[float64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 102_900_000: "102.9 MB"} {
		if got := byteSize(n); got != want {
			t.Errorf("byteSize(%f) = %s, want %s", n, got, want)
		}
	}
}
