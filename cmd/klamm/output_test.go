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
