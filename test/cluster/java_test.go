//go:build cluster

package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/brokers"
)

// javaSettings are those of Apache's Java client, but for what the test needs: it
// sends again what failed, and gives a node up that does not answer. As it comes it
// would wait 30 s for an answer.
const javaSettings = `retries=2147483647
enable.idempotence=true
request.timeout.ms=1000
linger.ms=0
metadata.recovery.rebootstrap.trigger.ms=5000
`

// javaPulse is a pulse of Apache's Java client, as its VerifiableProducer.
type javaPulse struct {
	*textPulse
	closing atomic.Bool // it was told to end: what it sends now is refused, by itself
}

// said is a line of what VerifiableProducer prints.
type said struct {
	Name      string
	Partition int32
	Offset    int64
	Value     string
	Exception string
	Message   string
}

func startJavaPulse(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition) *textPulse {
	t.Helper()
	settings := filepath.Join(t.TempDir(), "java.properties")
	must(t, os.WriteFile(settings, []byte(javaSettings), 0o600))
	cmd, err := brokers.Tool("org.apache.kafka.tools.VerifiableProducer", "--bootstrap-server", strings.Join(c.Seeds(), ","),
		"--topic", tp.Topic, "--throughput", "100", "--acks", "-1", "--command-config", settings)
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	p := &javaPulse{textPulse: newTextPulse(t, c, tp)}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended in order
	p.calm = func() {
		p.closing.Store(true)
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	}
	go func() {
		err := p.listen(out)
		_ = cmd.Wait() // a signal ends it
		p.ended <- err
	}()
	p.awaitSteady()
	return p.textPulse
}

// listen tells the checker what the producer prints, until it ends.
func (p *javaPulse) listen(out io.Reader) error {
	for lines := json.NewDecoder(out); ; {
		var s said
		switch err := lines.Decode(&s); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read what the Java client prints: %w", err)
		}
		switch {
		case s.Name == "producer_send_error" && !p.closing.Load():
			return fmt.Errorf("the Java client failed with %s: %s", s.Exception, s.Message)
		case s.Name == "producer_send_success":
			seq, err := strconv.ParseInt(s.Value, 10, 64)
			if err != nil {
				return err
			}
			p.acknowledged(seq, s.Offset)
		}
	}
}
