package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestOutageSpeaksOnceWhenABrokerGoesAndOnceWhenItReturns(t *testing.T) {
	errOut, err := os.Create(filepath.Join(t.TempDir(), "err"))
	if err != nil {
		t.Fatal(err)
	}
	defer errOut.Close()
	o := &outage{env: &environment{errOut: errOut}}
	broker, refused := kgo.BrokerMetadata{Host: "localhost", Port: 9092}, errors.New("refused")
	for _, err := range []error{refused, nil, nil, refused, refused, nil, nil} {
		o.OnBrokerConnect(broker, 0, nil, err)
	}
	want := "klamm: broker localhost:9092 does not answer: refused; trying again\n" +
		"klamm: broker localhost:9092 answers again\n"
	if got := readBack(t, errOut); got != want {
		t.Errorf("said\n%s\nwant\n%s", got, want)
	}
}
