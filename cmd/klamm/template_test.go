package main

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var templateRecord = &kgo.Record{
	Topic: "flights", Partition: 3, Offset: 42, Key: []byte("N1"), Value: []byte("a%sb"),
	Timestamp: time.UnixMilli(1357034400000),
	Headers:   []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "b"}},
}

func TestTemplate(t *testing.T) {
	for text, want := range map[string]string{
		`%t-%p@%o: %k=%s\n`:     "flights-3@42: N1=a%sb\n",
		`%K %S %T`:              "2 4 1357034400000",
		`%h`:                    "a=1,b=",
		`100%% \t\\n\x41\r`:     "100% \t\\n" + "A\r",
		``:                      "",
		"plain\nwith newline\n": "plain\nwith newline\n",
	} {
		parsed, err := parseTemplate(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := string(parsed.append(nil, templateRecord)); got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}

func TestTemplateOfNulls(t *testing.T) {
	parsed, err := parseTemplate("%k|%K|%s|%S|%h")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(parsed.append(nil, &kgo.Record{Value: []byte{}})); got != "|-1||0|" {
		t.Errorf("got %q", got)
	}
}

func TestTemplateErrors(t *testing.T) {
	for text, says := range map[string]string{
		"%q":   "%q is unknown",
		"a%":   "single %",
		`a\`:   `single \`,
		`\q`:   `\q is unknown`,
		`\x4`:  "two hexadecimal digits",
		`\xzz`: "two hexadecimal digits",
	} {
		if _, err := parseTemplate(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error %v, want %q", text, err, says)
		}
	}
}
