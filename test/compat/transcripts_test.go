//go:build compat

package compat

import (
	"context"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/test/brokers"
)

// transcriptsLimit bounds how long all transcripts may take against Apache Kafka;
// they take half a minute on two free cores.
const transcriptsLimit = 8 * time.Minute

// TestTranscriptsAgainstApache holds the transcripts of broker/api against Apache
// Kafka: what they expect of Klamm is what Kafka answers. What differs on purpose
// lies in their folder differs, which Kafka is not asked.
//
// Kafka answers some requests from metadata that lag a moment behind what it has
// just confirmed. So a transcript that fails is asked for once more: a difference
// of the two brokers is there the second time too.
func TestTranscriptsAgainstApache(t *testing.T) {
	needs(t, "Apache Kafka", brokers.HasJava())
	holdTranscripts(t, nil, "-run=^TestTranscripts$")
}

// TestAuthorizedTranscriptsAgainstApache does so with those of a broker that has an
// authorizer.
func TestAuthorizedTranscriptsAgainstApache(t *testing.T) {
	needs(t, "Apache Kafka", brokers.HasJava())
	holdTranscripts(t, map[string]string{
		"authorizer.class.name": security.StandardClass, "allow.everyone.if.no.acl.found": "true",
	}, "-run=^TestAuthorizedTranscripts$", "-authorized")
}

// holdTranscripts holds the transcripts that the arguments choose against a Kafka.
func holdTranscripts(t *testing.T, settings map[string]string, arguments ...string) {
	b, err := brokers.Apache(brokers.Options{Dir: t.TempDir(), Settings: settings})
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
	first, err := askApache(ctx, tree, b.Addr, arguments)
	if err == nil {
		return
	}
	t.Logf("asked again, after %v:\n%s", err, first)
	if second, err := askApache(ctx, tree, b.Addr, arguments); err != nil {
		t.Fatalf("%v\n%s", err, second)
	}
}

// askApache runs the transcripts against the Kafka at addr and returns what go test
// says.
func askApache(ctx context.Context, tree, addr string, arguments []string) ([]byte, error) {
	test := exec.CommandContext(ctx, "go", append([]string{"test", "./broker/api", "-count=1", "-kafka=" + addr}, arguments...)...)
	test.Dir = tree
	out, err := test.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w", test, err)
	}
	return out, err
}
