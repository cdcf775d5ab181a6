//go:build cluster

package cluster

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/test/brokers"
	"github.com/klamm-io/klamm/test/runtimes"
)

func hasLibrdkafka() error {
	_, err := runtimes.Python()
	return err
}

// startLibrdkafkaPulse starts a pulse of librdkafka, by its client for Python.
func startLibrdkafkaPulse(t *testing.T, c *brokers.Cluster, tp protocol.TopicPartition) *textPulse {
	t.Helper()
	python, err := runtimes.Python()
	must(t, err)
	cmd := exec.Command(python, "-B", "testdata/pulse.py", strings.Join(c.Seeds(), ","), tp.Topic, strconv.Itoa(int(tp.Partition)))
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended in order
	p := newTextPulse(t, c, tp)
	p.calm = sync.OnceFunc(func() { _ = in.Close() }) // the program may have ended, which p tells
	go func() {
		read := p.listenToLibrdkafka(out)
		if err := cmd.Wait(); err != nil {
			read = fmt.Errorf("the librdkafka client ends with %w:\n%s", err, complaints.Bytes())
		}
		p.ended <- read
	}()
	p.awaitSteady()
	return p
}

// listenToLibrdkafka notes what testdata/pulse.py prints, until it ends.
func (p *textPulse) listenToLibrdkafka(out io.Reader) error {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var seq, offset int64
		if _, err := fmt.Sscan(lines.Text(), &seq, &offset); err != nil {
			return fmt.Errorf("read %q of the librdkafka client: %w", lines.Text(), err)
		}
		p.acknowledged(seq, offset)
	}
	return lines.Err()
}
