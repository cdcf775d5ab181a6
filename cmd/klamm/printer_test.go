package main

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestRecordsAsJSON(t *testing.T) {
	for _, c := range []struct {
		record kgo.Record
		want   string
	}{
		{*templateRecord, `{"topic":"flights","partition":3,"offset":42,"timestamp":1357034400000,"key":"N1","value":"a%sb",` +
			`"headers":[{"key":"a","value":"1"},{"key":"b","value":null}]}`},
		{kgo.Record{Topic: "t", Timestamp: time.UnixMilli(-1), Value: []byte{}},
			`{"topic":"t","partition":0,"offset":0,"timestamp":-1,"key":null,"value":"","headers":[]}`},
		{kgo.Record{Topic: "t", Timestamp: time.UnixMilli(0), Key: []byte{0xff}, Value: []byte("<é\n>")},
			`{"topic":"t","partition":0,"offset":0,"timestamp":0,"key":null,"key_base64":"/w==","value":"<é\n>","headers":[]}`},
	} {
		if got := string(appendRecordJSON([]byte("before "), &c.record)); got != "before "+c.want+"\n" {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
