//go:build compat

package compat

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/klamm-io/klamm/test/brokers"
)

// transcriptsLimit bounds how long all transcripts may take against Apache Kafka;
// they take half a minute on two free cores.
const transcriptsLimit = 8 * time.Minute

// TestTranscriptsAgainstApache holds the transcripts of broker/api against Apache
// Kafka: what they expect of Klamm is what Kafka answers. What differs on purpose
// lies in their folder differs, which Kafka is not asked.
func TestTranscriptsAgainstApache(t *testing.T) {
	needs(t, "Apache Kafka", brokers.HasJava())
	b, err := brokers.Apache(brokers.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	startBroker(t, b)
	tree, err := brokers.Tree()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), transcriptsLimit)
	defer cancel()
	test := exec.CommandContext(ctx, "go", "test", "./broker/api", "-count=1", "-run=^TestTranscripts$", "-args", "-kafka="+b.Addr)
	test.Dir = tree
	if out, err := test.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", test, err, out)
	}
}
