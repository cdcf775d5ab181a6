package txn

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol"
)

// shell does for a test what the real one does: it appends what a step wrote, and
// tells as text what the step wanted.
type shell struct {
	*Coordinator
	config  Config
	now     time.Time
	log     []step.Record
	refuse  error                   // why the next write is not appended, nil for it is
	markers map[string]WriteMarkers // the last asked for, by transactional id
	told    strings.Builder
}

func newShell(c Config) *shell {
	return &shell{Coordinator: New(c, slog.New(slog.DiscardHandler)), config: c, now: time.UnixMilli(1_000_000), markers: map[string]WriteMarkers{}}
}

// restart forgets all but the log.
func (s *shell) restart() {
	s.Coordinator = New(s.config, slog.New(slog.DiscardHandler))
	for _, r := range s.log {
		if err := s.Replay(r.Key, r.Value, s.now); err != nil {
			fmt.Fprintf(&s.told, "cannot replay: %v\n", err)
		}
	}
	s.finish(s.Loaded(s.now))
}

// finish does what a step wants.
func (s *shell) finish(out step.Output) {
	for _, r := range out.Replies {
		s.reply("", r)
	}
	for _, w := range out.Writes {
		s.write(w)
	}
	for _, r := range out.Later {
		s.reply("when committed, ", r)
	}
	for _, e := range out.Effects {
		s.effect(e)
	}
	if out.Next != nil {
		s.finish(out.Next())
	}
}

func (s *shell) write(w step.Write) {
	if s.refuse != nil {
		fmt.Fprintf(&s.told, "not written: %s\n", name(s.refuse))
		for _, r := range w.Done(s.refuse) {
			s.reply("", r)
		}
		return
	}
	for _, r := range w.Records {
		s.log = append(s.log, r)
		fmt.Fprintf(&s.told, "writes %s\n", recordText(r))
	}
	for _, r := range w.Done(nil) {
		s.reply("when committed, ", r)
	}
	if w.Then != nil {
		s.effect(w.Then)
	}
}

func (s *shell) reply(when string, r step.Reply) {
	a := r.Response.(Answer)
	fmt.Fprintf(&s.told, "%sanswers %s: %s", when, r.To, name(a.Err))
	if a.Producer != None {
		fmt.Fprintf(&s.told, ", producer %s", a.Producer)
	}
	if len(a.Missing) > 0 {
		fmt.Fprintf(&s.told, ", without %s", placesText(a.Missing))
	}
	s.told.WriteByte('\n')
}

func (s *shell) effect(e step.Effect) {
	w := e.(WriteMarkers)
	s.markers[w.TransactionalID] = w
	verb := "aborts"
	if w.Marker.Commit {
		verb = "commits"
	}
	fmt.Fprintf(&s.told, "then %s %s of %d/%d, version %d, in %s\n", verb, w.TransactionalID, w.Marker.ProducerID, w.Marker.ProducerEpoch, w.Marker.Version, placesText(w.Partitions))
}

func (p Producer) String() string { return fmt.Sprintf("%d/%d", p.ID, p.Epoch) }

func placesText(partitions []protocol.TopicPartition) string {
	if len(partitions) == 0 {
		return "no partition"
	}
	var all []string
	for _, tp := range partitions {
		all = append(all, fmt.Sprintf("%s:%d", tp.Topic, tp.Partition))
	}
	return strings.Join(all, ",")
}

func recordText(r step.Record) string {
	var k kmsg.TxnMetadataKey
	var v kmsg.TxnMetadataValue
	if err := k.ReadFrom(r.Key); err != nil {
		return err.Error()
	}
	if r.Value == nil {
		return k.TransactionalID + ": nothing"
	}
	if err := v.ReadFrom(r.Value); err != nil {
		return err.Error()
	}
	text := fmt.Sprintf("%s: %s, producer %d/%d", k.TransactionalID, State(v.State), v.ProducerID, v.ProducerEpoch)
	if v.NextProducerID >= 0 {
		text += fmt.Sprintf(" then %d", v.NextProducerID)
	}
	for _, t := range v.Topics {
		text += fmt.Sprintf(", %s%v", t.Topic, t.Partitions)
	}
	if v.StartTimestamp >= 0 {
		text += fmt.Sprintf(", since %d", v.StartTimestamp-1_000_000)
	}
	return text
}

func name(err error) string {
	if err == nil {
		return "ok"
	}
	if coded, ok := err.(*kerr.Error); ok {
		return coded.Message
	}
	return err.Error()
}

// two is the newest transaction.version.
func two() int16 { return 2 }

// none is the number of the newest connection where there is none.
func none() uint64 { return 0 }
