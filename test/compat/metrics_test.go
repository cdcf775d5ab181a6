//go:build compat

package compat

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/runtimes"
)

// othersNames are metrics whose names or labels promtool advises against, and that
// are as the JMX exporter makes them, for dashboards that ask for them.
var othersNames = regexp.MustCompile(`^(kafka_log_logcleanermanager_\w+|kafka_log_logmanager_logdirectoryoffline|kafka_server_socket_server_metrics_connection_count) `)

// TestPromtool scrapes a broker with some traffic behind it and lets Prometheus's
// own tool check what it answers.
func TestPromtool(t *testing.T) {
	needs(t, "promtool", runtimes.Look("promtool"))
	b, err := brokers.Klamm(brokers.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	startBroker(t, b)
	exchange(t, b)
	page := scrape(t, b)
	for _, name := range []string{
		`klamm_request_duration_seconds_count{api="Produce"}`, `kafka_network_requestmetrics_totaltimems{request="Produce",quantile="0.99"}`,
		`kafka_server_brokertopicmetrics_messagesin_total `, `kafka_server_brokertopicmetrics_messagesin_total{topic="checked"} 100`,
		`kafka_consumergroup_lag{consumergroup="checkers",partition="0",topic="checked"} 60`, `go_goroutines `, `process_open_fds `, `klamm_build_info{`,
	} {
		if !bytes.Contains(page, []byte("\n"+name)) {
			t.Errorf("the scrape has no %s", name)
		}
	}
	check := exec.Command("promtool", "check", "metrics")
	check.Stdin = bytes.NewReader(page)
	out, err := check.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if !othersNames.MatchString(line) {
			t.Errorf("promtool: %s", strings.TrimSpace(line))
		}
	}
}

// exchange writes 100 records to the topic "checked", reads them, and commits
// offset 40.
func exchange(t *testing.T, b *brokers.Broker) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.DefaultProduceTopic("checked"), kgo.ConsumeTopics("checked"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(t.Context(), 1, 1, nil, "checked"); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		cl.Produce(t.Context(), kgo.StringRecord(fmt.Sprint(i)), nil)
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for read := 0; read < 100; {
		fetches := cl.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		read += fetches.NumRecords()
	}
	var offsets kadm.Offsets
	offsets.AddOffset("checked", 0, 40, -1)
	if err := adm.CommitAllOffsets(t.Context(), "checkers", offsets); err != nil {
		t.Fatal(err)
	}
}

// scrape returns what a broker answers to monitors, at the address that its log
// tells.
func scrape(t *testing.T, b *brokers.Broker) []byte {
	t.Helper()
	lines, err := b.Lines(" http=")
	if err != nil || len(lines) == 0 {
		t.Fatalf("the broker's log names no HTTP address (%v)", err)
	}
	_, rest, _ := strings.Cut(lines[len(lines)-1], " http=")
	addr, _, _ := strings.Cut(rest, " ")
	answer, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("the scrape was answered with %s (%v)", answer.Status, err)
	}
	return page
}
