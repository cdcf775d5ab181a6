package group

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/protocol"
)

// TestTranscripts lets coordinators run through the conversations of testdata.
// Every request is a command, its ticket the command's name and number. What
// comes out stands below, in order: a line that begins with + is a record, a line
// that begins with a ticket a reply; "held" are replies that wait until the
// records are committed.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(path, "testdata/"), ".txt"), func(t *testing.T) {
			s := newScript(t)
			datadriven.RunTest(t, path, s.run)
			s.log.checkReplay(t, s.coordinator, s.now)
		})
	}
}

// script is one conversation.
type script struct {
	coordinator *Coordinator
	config      Config
	now, began  time.Time
	requests    int
	ids         int
	waiting     map[string]bool // tickets that are not answered yet
	log         recordLog
	cluster     *fakeCluster
	out         strings.Builder
}

// recordLog is what was written, in order.
type recordLog []Record

func newScript(t *testing.T) *script {
	began := time.UnixMilli(1_000_000_000_000)
	s := &script{now: began, began: began, waiting: map[string]bool{}, config: Config{
		MinSessionTimeout: time.Second, MaxSessionTimeout: time.Minute, MaxSize: 100,
		OffsetMetadataMax: 10, OffsetsRetention: time.Hour,
		Consumer: Consumer{
			SessionTimeout:     Bounded{45 * time.Second, time.Second, time.Minute},
			HeartbeatInterval:  Bounded{5 * time.Second, time.Second, 15 * time.Second},
			AssignmentInterval: Bounded{0, 0, 15 * time.Second},
			MaxSize:            100, Assignors: []string{"uniform", "range"}, Upgrade: true, Downgrade: true, RegexRefresh: 10 * time.Minute,
		},
	}, cluster: &fakeCluster{}}
	s.coordinator = s.fresh()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("still waiting: %v", s.waiting)
		}
	})
	return s
}

func (s *script) fresh() *Coordinator {
	c := New(s.config, func() string { s.ids++; return strconv.Itoa(s.ids) }, slog.New(slog.DiscardHandler))
	c.ClusterChanged(s.cluster, nil, false)
	return c
}

// run is one command of a transcript.
func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	s.out.Reset()
	a := arguments{t: t, d: d}
	switch d.Cmd {
	case "config":
		s.configure(a)
	case "reload":
		s.coordinator = s.log.replayed(t, s.fresh(), s.now)
	case "replay":
		s.replay(a)
	case "cluster":
		next, changed, names := s.cluster.become(a)
		s.cluster = next
		s.coordinator.ClusterChanged(next, changed, names)
	case "pass":
		s.pass(a)
	default:
		s.request(a)
	}
	if s.out.Len() == 0 {
		return "ok\n"
	}
	return s.out.String()
}

func (s *script) configure(a arguments) {
	s.config.InitialRebalanceDelay = a.duration("delay", s.config.InitialRebalanceDelay)
	s.config.OffsetsRetention = a.duration("retention", s.config.OffsetsRetention)
	s.config.MaxSize = a.number("max-size", s.config.MaxSize)
	s.config.Consumer.AssignmentInterval.Standard = a.duration("interval", s.config.Consumer.AssignmentInterval.Standard)
	s.config.Consumer.MaxSize = a.number("consumer-max-size", s.config.Consumer.MaxSize)
	if policy := a.text("policy", ""); policy != "" {
		s.config.Consumer.Upgrade = policy == "upgrade" || policy == "bidirectional"
		s.config.Consumer.Downgrade = policy == "downgrade" || policy == "bidirectional"
	}
	s.coordinator.config = s.config
}

// replay takes in one record, given as the bytes of its key and its value.
func (s *script) replay(a arguments) {
	var value []byte
	if a.d.HasArg("value") {
		value = a.hex("value")
	}
	if err := s.coordinator.Replay(a.hex("key"), value, s.now); err != nil {
		fmt.Fprintln(&s.out, "error:", err)
	}
}

// pass lets time pass in small steps and says at which something happened.
func (s *script) pass(a arguments) {
	const step = 100 * time.Millisecond
	length, err := time.ParseDuration(a.first())
	if err != nil {
		a.t.Fatal(err)
	}
	for end := s.now.Add(length); s.now.Before(end); {
		s.now = s.now.Add(step)
		before := s.out.Len()
		s.take(a, func() Output { return s.coordinator.Tick(s.now) })
		if s.out.Len() > before {
			text := s.out.String()
			s.out.Reset()
			fmt.Fprintf(&s.out, "%sat %v:\n%s", text[:before], s.now.Sub(s.began), text[before:])
		}
	}
}

// request is a command that is one step.
func (s *script) request(a arguments) {
	c := s.coordinator
	s.requests++
	to := a.d.Cmd + "#" + strconv.Itoa(s.requests)
	client := Client{ID: a.text("client", ""), Host: "/host"}
	answered := func(resp kmsg.Response) { fmt.Fprintln(&s.out, printResponse(resp)) }
	switch a.d.Cmd {
	case "join":
		s.ask(a, to, func() Output { return c.JoinGroup(a.join(), client, to, s.now) })
	case "sync":
		s.ask(a, to, func() Output { return c.SyncGroup(a.sync(), to, s.now) })
	case "heartbeat":
		s.ask(a, to, func() Output { return c.Heartbeat(a.heartbeat(), to, s.now) })
	case "leave":
		s.ask(a, to, func() Output { return c.LeaveGroup(a.leave(), to, s.now) })
	case "commit":
		s.ask(a, to, func() Output { return c.OffsetCommit(a.commit(), to, s.now) })
	case "hb":
		s.ask(a, to, func() Output {
			return c.ConsumerGroupHeartbeat(a.heartbeatRequest(), client, func(topic string) bool { return topic != "secret" }, to, s.now)
		})
	case "may-fetch":
		fmt.Fprintln(&s.out, printCode(code(c.MayFetch(a.group(), a.optional("member"), int32(a.number("epoch", -1))))))
	case "show":
		resp := kmsg.NewPtrConsumerGroupDescribeResponse()
		resp.Groups = append(resp.Groups, c.ConsumerGroupDescribe(a.group()))
		answered(resp)
	case "delete-offsets":
		s.ask(a, to, func() Output { return c.OffsetDelete(a.deleteOffsets(), to) })
	case "delete":
		s.ask(a, to, func() Output { return c.Delete(a.group(), to) })
	case "unload":
		s.take(a, func() Output { return Output{c.Unload()} })
	case "expire":
		s.take(a, func() Output { return c.Expire(s.now) })
	case "topics-deleted":
		s.take(a, func() Output { return c.TopicsDeleted(a.list("names")) })
	case "offsets":
		s.out.WriteString(printOffsets(c.Offsets(a.group(), a.topics())))
	case "describe":
		resp := kmsg.NewPtrDescribeGroupsResponse()
		resp.Groups = append(resp.Groups, c.Describe(a.group(), int16(a.number("v", 6))))
		answered(resp)
	case "list":
		resp := kmsg.NewPtrListGroupsResponse()
		resp.Groups = c.List(a.list("states"), a.list("types"))
		answered(resp)
	default:
		a.t.Fatalf("%s: no command %s", a.d.Pos, a.d.Cmd)
	}
}

func (s *script) ask(a arguments, to string, step func() Output) {
	s.waiting[to] = true
	s.take(a, step)
}

// take prints what a step put out. With the argument fail, nothing is appended.
func (s *script) take(a arguments, step func() Output) {
	out := step()
	s.reply(a, out.Replies, "")
	for _, w := range out.Writes {
		if a.d.HasArg("fail") {
			fmt.Fprintln(&s.out, "not appended")
			s.reply(a, w.Done(kerr.CoordinatorNotAvailable), "")
			continue
		}
		for _, r := range w.Records {
			fmt.Fprintln(&s.out, "+", printRecord(r))
		}
		s.log = append(s.log, w.Records...)
		s.reply(a, w.Done(nil), "held ")
	}
}

func (s *script) reply(a arguments, replies []Reply, held string) {
	for _, r := range replies {
		to := r.To.(string)
		if !s.waiting[to] {
			a.t.Errorf("%s: %s is answered twice", a.d.Pos, to)
		}
		delete(s.waiting, to)
		line := held + to + ": " + printResponse(r.Response.(kmsg.Response))
		if r.Failed != nil && held != "" {
			line += " (or " + printResponse(r.Failed.(kmsg.Response)) + ")"
		}
		fmt.Fprintln(&s.out, line)
	}
}

// replayed returns c after it took in the whole log.
func (l recordLog) replayed(t rapid.TB, c *Coordinator, now time.Time) *Coordinator {
	t.Helper()
	for _, r := range l {
		if err := c.Replay(r.Key, r.Value, now); err != nil {
			t.Fatalf("replay %s: %v", printRecord(r), err)
		}
	}
	c.Loaded(now)
	return c
}

// checkReplay holds that the log gives what the coordinator has.
func (l recordLog) checkReplay(t rapid.TB, c *Coordinator, now time.Time) {
	t.Helper()
	again := l.replayed(t, New(c.config, c.newID, c.logger), now)
	for id, g := range c.groups {
		lasting := again.groups[id]
		if lasting == nil {
			if len(g.offsets) > 0 || g.state == stable {
				t.Errorf("replayed, group %s is not there", id)
			}
			continue
		}
		if have, want := printOffsets(again.Offsets(id, nil)), printOffsets(c.Offsets(id, nil)); have != want {
			t.Errorf("replayed, group %s has the offsets\n%swant\n%s", id, have, want)
		}
		if !reflect.DeepEqual(lasting.consumer, g.consumer) {
			t.Errorf("replayed, consumer group %s is\n%+v\nwant\n%+v", id, lasting.consumer, g.consumer)
		}
		if g.state == stable && !slices.Equal(lasting.order, g.order) {
			t.Errorf("replayed, group %s has the members %v, want %v", id, lasting.order, g.order)
		}
	}
	for id, g := range again.groups {
		if c.groups[id] == nil {
			t.Errorf("replayed, there is a group %s with %d offsets", id, len(g.offsets))
		}
	}
}

// arguments are those of a command.
type arguments struct {
	t *testing.T
	d *datadriven.TestData
}

func (a arguments) first() string {
	if len(a.d.CmdArgs) == 0 {
		a.t.Fatalf("%s: an argument is missing", a.d.Pos)
	}
	return a.d.CmdArgs[0].Key
}

func (a arguments) group() string { return a.text("group", "g") }

func (a arguments) list(key string) []string {
	for _, arg := range a.d.CmdArgs {
		if arg.Key == key {
			return slices.DeleteFunc(slices.Clone(arg.Vals), func(v string) bool { return v == "" })
		}
	}
	return nil
}

// text is the value of an argument; "-" is the empty text.
func (a arguments) text(key, otherwise string) string {
	switch vals := a.list(key); {
	case len(vals) == 0:
		return otherwise
	case vals[0] == "-":
		return ""
	default:
		return vals[0]
	}
}

func (a arguments) optional(key string) *string {
	if !a.d.HasArg(key) {
		return nil
	}
	text := a.text(key, "")
	return &text
}

func (a arguments) number(key string, otherwise int) int {
	n, err := strconv.Atoi(a.text(key, strconv.Itoa(otherwise)))
	if err != nil {
		a.t.Fatalf("%s: %v", a.d.Pos, err)
	}
	return n
}

func (a arguments) duration(key string, otherwise time.Duration) time.Duration {
	d, err := time.ParseDuration(a.text(key, otherwise.String()))
	if err != nil {
		a.t.Fatalf("%s: %v", a.d.Pos, err)
	}
	return d
}

func (a arguments) hex(key string) []byte {
	var bytes []byte
	if _, err := fmt.Sscanf(a.text(key, ""), "%x", &bytes); err != nil && a.text(key, "") != "" {
		a.t.Fatalf("%s: %v", a.d.Pos, err)
	}
	return bytes
}

// partition reads "topic-3".
func (a arguments) partition(text string) protocol.TopicPartition {
	dash := strings.LastIndexByte(text, '-')
	n, err := strconv.Atoi(text[dash+1:])
	if err != nil {
		a.t.Fatalf("%s: %v", a.d.Pos, err)
	}
	return protocol.TopicPartition{Topic: text[:dash], Partition: int32(n)}
}
