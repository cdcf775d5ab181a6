package api_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/klamm-io/klamm/broker"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/storage/disk"
)

// start runs a broker whose disk is memory until the test ends, and returns its
// address.
func start(t *testing.T, logDir string, sets ...string) string {
	t.Helper()
	if logDir == "" {
		logDir = "/data"
	}
	c, _, err := config.Load("", nil, append([]string{
		"listeners=PLAINTEXT://127.0.0.1:0", "klamm.http.listener=", "log.dirs=" + logDir,
		"group.initial.rebalance.delay.ms=0", "offsets.topic.num.partitions=50",
	}, sets...))
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(c, broker.Deps{FS: disk.NewMemory(), Logger: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return b.Addr().String()
}
