package replica

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kerr"
)

// TestISR replays transcripts of what a leader is told and what it decides. Times
// are in milliseconds.
func TestISR(t *testing.T) {
	datadriven.Walk(t, "testdata/isr", func(t *testing.T, path string) {
		var s *isr
		var now time.Time
		gone := map[int32]bool{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var id, at, epoch, offset, end, flushed, partitionEpoch, minISR int
			var replicas, members []int32
			var failed string
			for name, to := range map[string]*int{"id": &id, "at": &at, "epoch": &epoch, "offset": &offset, "end": &end,
				"flushed": &flushed, "partition-epoch": &partitionEpoch, "min-isr": &minISR} {
				d.MaybeScanArgs(t, name, to)
			}
			ids := func(name string) (all []int32) {
				for _, arg := range d.CmdArgs {
					for i := range arg.Vals {
						if n := 0; arg.Key == name {
							arg.Scan(t, i, &n)
							all = append(all, int32(n))
						}
					}
				}
				return all
			}
			replicas, members = ids("replicas"), ids("isr")
			d.MaybeScanArgs(t, "err", &failed)
			now = time.UnixMilli(int64(at))
			own := ends{end: int64(end), committed: int64(flushed)}
			a := Assignment{Leader: 1, LeaderEpoch: 7, PartitionEpoch: int32(partitionEpoch), Replicas: replicas, ISR: members, MinISR: max(minISR, 1), Recovering: d.HasArg("recovering")}
			var e effects
			switch d.Cmd {
			case "lead":
				rules := isrRules{LagMax: 100 * time.Millisecond, Backoff: 10 * time.Millisecond, Eligible: func(id int32, _ int64) bool { return !gone[id] }}
				s = newISR(1, rules, a, own, int64(offset), now)
			case "gone":
				gone[int32(id)] = true
				e = s.passed(own, now)
			case "grow":
				e = s.grown(own, now)
			case "fetch":
				var err error
				if e, err = s.fetchedBy(followerFetch{replica: int32(id), brokerEpoch: int64(epoch), offset: int64(offset)}, own, now); err != nil {
					return err.Error() + "\n"
				}
			case "pass":
				e = s.passed(own, now)
			case "assign":
				e = s.assigned(a, now)
			case "answer":
				answer := ProposalAnswer{Assignment: a}
				if failed != "" {
					answer = ProposalAnswer{Err: errorNamed(failed)}
				}
				e = s.answered(s.sequence, answer, now)
			default:
				d.Fatalf(t, "no such event")
			}
			return tellISR(s, e)
		})
	})
}

func errorNamed(name string) error {
	for _, e := range []error{kerr.InvalidUpdateVersion, kerr.IneligibleReplica, kerr.NotController} {
		if strings.HasPrefix(e.Error(), name+":") {
			return e
		}
	}
	return errors.New(name)
}

// tellISR says what a leader knows after an event, and what follows from it.
func tellISR(s *isr, e effects) string {
	var b strings.Builder
	fmt.Fprintf(&b, "high watermark %d, isr %v", s.highWatermark, s.agreed.ISR)
	if s.underMinISR() {
		b.WriteString(", too few")
	}
	if e.advanced {
		b.WriteString(", advanced")
	}
	if s.proposal != nil {
		fmt.Fprintf(&b, ", pending %v", s.proposal.members)
	}
	if e.propose != nil {
		b.WriteString(", propose")
	}
	if e.soon {
		b.WriteString(", again soon")
	}
	return b.String() + "\n"
}
