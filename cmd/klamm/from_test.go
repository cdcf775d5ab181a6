package main

import (
	"testing"
	"time"
)

func TestParseStart(t *testing.T) {
	for text, want := range map[string]startPoint{
		"beginning":                 {kind: startBeginning},
		"end":                       {kind: startEnd},
		"earliest":                  {kind: startBeginning},
		"start":                     {kind: startBeginning},
		"latest":                    {kind: startEnd},
		"0":                         {kind: startOffset},
		"1200":                      {kind: startOffset, n: 1200},
		"-5":                        {kind: startBefore, n: 5},
		"-0":                        {kind: startBefore},
		"2013-01-01T10:00:00Z":      {kind: startTime, time: time.Date(2013, 1, 1, 10, 0, 0, 0, time.UTC)},
		"2013-01-01T10:00:00.5Z":    {kind: startTime, time: time.Date(2013, 1, 1, 10, 0, 0, 5e8, time.UTC)},
		"2013-01-01T10:00:00+02:00": {kind: startTime, time: time.Date(2013, 1, 1, 8, 0, 0, 0, time.UTC)},
		"2013-01-01T10:00:00.25":    {kind: startTime, time: time.Date(2013, 1, 1, 10, 0, 0, 25e7, time.UTC)},
		"2013-01-01":                {kind: startTime, time: time.Date(2013, 1, 1, 0, 0, 0, 0, time.UTC)},
		"@1357034400123":            {kind: startTime, time: time.Date(2013, 1, 1, 10, 0, 0, 123e6, time.UTC)},
	} {
		got, err := parseStart(text)
		if err != nil || got.kind != want.kind || got.n != want.n || !got.time.Equal(want.time) {
			t.Errorf("parseStart(%q) = %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "noon", "@", "@x", "1.5", "later", "2013-13-01"} {
		if got, err := parseStart(text); err == nil {
			t.Errorf("parseStart(%q) = %+v, want an error", text, got)
		}
	}
}

func TestStartPointStaysInsideThePartition(t *testing.T) {
	held := span{start: 10, end: 20}
	for _, c := range []struct {
		start startPoint
		timed int64
		want  int64
	}{
		{startPoint{kind: startBeginning}, 0, 10},
		{startPoint{kind: startEnd}, 0, 20},
		{startPoint{kind: startOffset, n: 15}, 0, 15},
		{startPoint{kind: startOffset, n: 5}, 0, 10},
		{startPoint{kind: startOffset, n: 25}, 0, 20},
		{startPoint{kind: startBefore, n: 3}, 0, 17},
		{startPoint{kind: startBefore, n: 30}, 0, 10},
		{startPoint{kind: startTime}, 12, 12},
		{startPoint{kind: startTime}, 20, 20},
	} {
		if got := c.start.offset(held, c.timed); got != c.want {
			t.Errorf("%+v begins at %d, want %d", c.start, got, c.want)
		}
	}
}
