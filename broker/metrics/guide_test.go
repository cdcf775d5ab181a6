package metrics

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the tables of docs/guide/monitoring.md")

const guide = "../../docs/guide/monitoring.md"

// The guide's tables lie between marks that name them; the text around them is
// written by hand.
func TestGuideHasEveryMetric(t *testing.T) {
	raw, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	rows, text := metricRows(t), string(raw)
	for name, prefixes := range map[string][]string{
		"own":            {"klamm_"},
		"jmx":            {"kafka_server_", "kafka_network_", "kafka_log_", "kafka_controller_", "kafka_cluster_", "kafka_coordinator_"},
		"kafka_exporter": {"kafka_broker", "kafka_topic_", "kafka_consumergroup_"},
	} {
		begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->"
		before, rest, found := strings.Cut(text, begin)
		_, after, ended := strings.Cut(rest, end)
		if !found || !ended {
			t.Fatalf("%s has no table %q", guide, name)
		}
		text = before + begin + metricTable(rows, prefixes) + end + after
	}
	if text == string(raw) {
		return
	}
	if !*rewrite {
		t.Fatalf("%s does not have what is measured; go test ./broker/metrics -run Guide -rewrite writes it", guide)
	}
	if err := os.WriteFile(guide, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// metricRows describes each metric that there can be, by name.
func metricRows(t *testing.T) []string {
	m := used()
	m.Listener("PLAINTEXT").ConnectionRefused("limit")
	m.RequestMemory(func() int64 { return 0 })
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, f := range families {
		var labels []string
		for _, m := range f.GetMetric() { // a sum over all topics has no topic
			for _, l := range m.GetLabel() {
				if !slices.Contains(labels, l.GetName()) {
					labels = append(labels, l.GetName())
				}
			}
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp()))
	}
	return rows
}

func metricTable(rows, prefixes []string) string {
	table := "\n| metric | type | labels | what it says |\n|---|---|---|---|\n"
	for _, row := range rows {
		if slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(row, "| `"+prefix) }) {
			table += row
		}
	}
	return table + "\n"
}
