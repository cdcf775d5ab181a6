package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// record is one line of input to produce, and part of a line of output.
type record struct {
	Partition int32    `json:"partition"`
	Timestamp int64    `json:"timestamp"` // ms
	Key       []byte   `json:"key"`       // null or base64
	Value     []byte   `json:"value"`
	Headers   []header `json:"headers"`
}

type header struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

// event is one line of output.
type event struct {
	Event      string  `json:"event"`
	At         int64   `json:"at"` // µs
	Index      int     `json:"index"`
	Offset     int64   `json:"offset"`
	Partitions []int32 `json:"partitions,omitempty"`
	Message    string  `json:"message,omitempty"`
	record
}

var (
	outMu sync.Mutex
	out   = json.NewEncoder(os.Stdout)
)

func emit(e event) {
	outMu.Lock()
	defer outMu.Unlock()
	e.At = time.Now().UnixMicro()
	_ = out.Encode(e) // nobody is left to tell when standard output is closed
}

// answer says what a step of the admin verb came to.
func answer(format string, args ...any) {
	emit(event{Event: "answer", Message: fmt.Sprintf(format, args...)})
}

// readRecords reads all of standard input.
func readRecords() ([]record, error) {
	var records []record
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var r record
		if err := in.Decode(&r); err == io.EOF {
			return records, nil
		} else if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
}

// untilInputEnds returns when standard input is closed: the sign to leave.
func untilInputEnds() { _, _ = io.Copy(io.Discard, os.Stdin) }
