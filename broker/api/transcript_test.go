package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/test/wire"
)

// With -kafka=host:port the transcripts are held against a running Kafka whose
// only node has the id 1 and is set as the broker here is: what it answers is
// what they must say. With -rewrite it writes them. Topics and groups of a
// transcript begin with "tr-", and are deleted before and after.
var kafka = flag.String("kafka", "", "`address` of a Kafka to hold the transcripts against")

// With -authorized that Kafka has the StandardAuthorizer, with
// allow.everyone.if.no.acl.found, and answers the transcripts of the folder authorized.
var authorized = flag.Bool("authorized", false, "the Kafka has an authorizer")

const ours = "tr-"

// A transcript is a list of requests and their answers. A command is the name of
// an API as kmsg spells it, v= its version or versions (v=0-4), then the fields
// that differ from their defaults, in JSON. The answer is printed likewise: what
// has its default value is left out, and what no two brokers share has a name
// (see [names]). Besides there are
//
//	until=TEXT   asks again until the answer has the text (!TEXT: has it not): for what happens in its own time
//	on=NAME      asks on a connection of that name
//	on=stranger  asks from another host, which has the rights that the ACLs give it
//	later        does not wait for the answer, which is shown by
//	answer on=NAME
//	produce topic=NAME partition=N ts=(MS,MS,...)   one batch a timestamp
//
// Transcripts in the folder differs are Klamm's alone: each says at its head in
// what Kafka differs, and why.
func TestTranscripts(t *testing.T) { runTranscripts(t, "testdata/transcripts", !*authorized) }

// TestAuthorizedTranscripts are of a broker with an authorizer. They show the ACLs, and
// what each API answers to a stranger who may do nothing.
func TestAuthorizedTranscripts(t *testing.T) {
	if conn, err := wire.DialFrom(strangersHost, start(t, "")); err != nil {
		t.Skip("this system has no second address of its own:", err)
	} else {
		conn.Close()
	}
	runTranscripts(t, "testdata/authorized", *authorized, accessControl...)
}

// accessControl sets a broker as the Kafka of the transcripts that are authorized.
var accessControl = []string{"authorizer.class.name=" + security.StandardClass, "allow.everyone.if.no.acl.found=true"}

// strangersHost is where who asks on=stranger sits; all others ask from 127.0.0.1.
const (
	stranger      = "stranger"
	strangersHost = "127.0.0.9"
)

// runTranscripts runs those of a folder; askKafka says that they are for the Kafka that
// was named.
func runTranscripts(t *testing.T, folder string, askKafka bool, sets ...string) {
	if *kafka != "" && !askKafka {
		t.Skip("the Kafka is set otherwise")
	}
	served := servedAPIs(t, start(t, ""))
	datadriven.Walk(t, folder, func(t *testing.T, path string) {
		s := &transcript{names: newNames(), counts: map[string]int{}, conns: map[string]*wire.Conn{}, late: map[string]kmsg.Request{}, served: served}
		switch {
		case *kafka == "":
			s.addr = start(t, "", sets...)
			s.connect(t)
		case strings.Contains(path, "/differs/"):
			t.Skip("here Kafka differs")
		default:
			s.addr = *kafka
			s.connect(t)
			s.clear(t)
			defer s.clear(t)
		}
		datadriven.RunTest(t, path, s.run)
	})
}

// servedAPIs are the keys that the broker at addr tells of.
func servedAPIs(t *testing.T, addr string) (keys []int16) {
	conn, err := wire.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	resp, err := conn.RoundTrip(kmsg.NewPtrApiVersionsRequest())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range resp.(*kmsg.ApiVersionsResponse).ApiKeys {
		keys = append(keys, k.ApiKey)
	}
	return keys
}

type transcript struct {
	addr   string
	conn   *wire.Conn // for what the transcript does not ask itself
	conns  map[string]*wire.Conn
	late   map[string]kmsg.Request // whose answers nobody has taken yet, by connection
	names  *names
	counts map[string]int // of values that were named after their kind
	served []int16        // keys of the APIs that Klamm serves
}

func (s *transcript) dial(t *testing.T) *wire.Conn { return s.dialFrom(t, "127.0.0.1") }

func (s *transcript) dialFrom(t *testing.T, host string) *wire.Conn {
	conn, err := wire.DialFrom(host, s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (s *transcript) connect(t *testing.T) {
	s.conn = s.dial(t)
	// Nothing deletes transactional ids: each run has its own.
	id := fmt.Sprint(ours, time.Now().UnixNano())
	s.names.give("TransactionalID", id, "transactional id")
	s.names.give("Key", id, "transactional id")
	s.learn(t)
}

func (s *transcript) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "produce":
		return s.produce(t, d)
	case "answer":
		on := argument(d, "on")
		return s.receive(t, on, s.late[on])
	}
	var first, last int16
	if n, _ := fmt.Sscanf(argument(d, "v"), "%d-%d", &first, &last); n < 2 {
		return s.sendUntil(t, d, first)
	}
	return s.eachVersion(first, last, func(version int16) string { return s.sendUntil(t, d, version) })
}

// argument is the value of a command's argument, empty where it has none.
func argument(d *datadriven.TestData, name string) string {
	for _, arg := range d.CmdArgs {
		if arg.Key == name {
			return strings.Join(arg.Vals, ",")
		}
	}
	return ""
}

func (s *transcript) sendUntil(t *testing.T, d *datadriven.TestData, version int16) string {
	for range 200 {
		text, unwanted := strings.CutPrefix(argument(d, "until"), "!")
		if out := s.send(t, d, version); strings.Contains(out, text) != unwanted {
			return out
		}
		time.Sleep(25 * time.Millisecond) // what it waits for is another process's, or another goroutine's
	}
	t.Fatalf("%s: no answer has %q", d.Pos, argument(d, "until"))
	return ""
}

// eachVersion prints the answers of several versions, equal ones once.
func (s *transcript) eachVersion(first, last int16, answer func(version int16) string) string {
	var out strings.Builder
	from, text := first, answer(first)
	for version := first + 1; version <= last+1; version++ {
		next := ""
		if version <= last {
			if next = answer(version); next == text {
				continue
			}
		}
		fmt.Fprintf(&out, "v%d-%d\n%s", from, version-1, text)
		from, text = version, next
	}
	return out.String()
}

// send sends one request, and takes its answer unless that may come later.
func (s *transcript) send(t *testing.T, d *datadriven.TestData, version int16) string {
	req := requestNamed(t, d.Cmd)
	s.fill(t, req, d.Input)
	req.SetVersion(version)
	on := argument(d, "on")
	if s.conns[on] == nil && on == stranger {
		s.conns[on] = s.dialFrom(t, strangersHost)
	} else if s.conns[on] == nil {
		s.conns[on] = s.dial(t)
	}
	if err := s.conns[on].Send(wire.Frame(req, 1)); err != nil {
		t.Fatal(err)
	}
	if d.HasArg("later") {
		s.late[on] = req
		return ""
	}
	return s.receive(t, on, req)
}

// receive takes an answer. A connection that ends is one too.
func (s *transcript) receive(t *testing.T, on string, to kmsg.Request) string {
	frame, err := s.conns[on].Receive()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%s: no answer", kmsg.NameForKey(to.Key()))
	}
	if err != nil {
		delete(s.conns, on)
		return "the connection ends\n"
	}
	resp, err := wire.Decode(to, frame)
	if err != nil {
		t.Fatal(err)
	}
	s.learnFrom(t, to, resp)
	s.keepShared(resp)
	return whyRefused.ReplaceAllString(s.print(resp), "$1 ErrorMessage=<a sentence>")
}

// whyRefused is what differs in words: Kafka writes down the request, with the
// connection's ports.
var whyRefused = regexp.MustCompile(`(ErrorCode=CLUSTER_AUTHORIZATION_FAILED) ErrorMessage="(?:[^"\\]|\\.)*"`)

// keepShared leaves out of an answer what is there because others use the broker
// too, or because a broker serves more.
func (s *transcript) keepShared(resp kmsg.Response) {
	switch resp := resp.(type) {
	case *kmsg.ListGroupsResponse:
		resp.Groups = slices.DeleteFunc(resp.Groups, func(g kmsg.ListGroupsResponseGroup) bool { return !strings.HasPrefix(g.Group, ours) })
	case *kmsg.ElectLeadersResponse:
		resp.Topics = slices.DeleteFunc(resp.Topics, func(e kmsg.ElectLeadersResponseTopic) bool { return !strings.HasPrefix(e.Topic, ours) })
	case *kmsg.DescribeQuorumResponse:
		resp.Nodes = nil // Kafka's controllers have listeners of their own
		for _, topic := range resp.Topics {
			for i := range topic.Partitions {
				s.nameQuorum(&topic.Partitions[i])
			}
		}
	case *kmsg.DescribeACLsResponse:
		for _, r := range resp.Resources {
			slices.SortFunc(r.ACLs, inWords)
		}
		slices.SortFunc(resp.Resources, inWords) // Kafka has no order
	case *kmsg.DeleteACLsResponse:
		for _, r := range resp.Results {
			slices.SortFunc(r.MatchingACLs, inWords)
		}
	case *kmsg.DescribeClientQuotasResponse:
		for i := range resp.Entries {
			e := &resp.Entries[i]
			slices.SortFunc(e.Values, inWords)
			slices.SortFunc(e.Entity, func(a, b kmsg.DescribeClientQuotasResponseEntryEntity) int { return strings.Compare(a.Type, b.Type) })
		}
		slices.SortFunc(resp.Entries, func(a, b kmsg.DescribeClientQuotasResponseEntry) int { return inJSON(a.Entity, b.Entity) })
	case *kmsg.DescribeUserSCRAMCredentialsResponse:
		for _, r := range resp.Results {
			slices.SortFunc(r.CredentialInfos, inWords)
		}
	case *kmsg.AlterClientQuotasResponse:
		for i := range resp.Entries {
			slices.SortFunc(resp.Entries[i].Entity, func(a, b kmsg.AlterClientQuotasResponseEntryEntity) int { return strings.Compare(a.Type, b.Type) })
		}
		slices.SortFunc(resp.Entries, func(a, b kmsg.AlterClientQuotasResponseEntry) int { return inJSON(a.Entity, b.Entity) })
	case *kmsg.ApiVersionsResponse:
		resp.ApiKeys = slices.DeleteFunc(resp.ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool { return !slices.Contains(s.served, k.ApiKey) })
	}
}

// inWords is an order of things that have none of their own.
func inWords[T any](a, b T) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }

// inJSON is inWords for what has pointers.
func inJSON[T any](a, b T) int {
	first, _ := json.Marshal(a)
	second, _ := json.Marshal(b)
	return bytes.Compare(first, second)
}

// nameQuorum names how far the metadata is, which is another in each cluster.
func (s *transcript) nameQuorum(p *kmsg.DescribeQuorumResponseTopicPartition) {
	if p.ErrorCode != 0 {
		return
	}
	s.names.give("LeaderEpoch", fmt.Sprint(p.LeaderEpoch), "EPOCH")
	s.names.give("HighWatermark", fmt.Sprint(p.HighWatermark), "END")
	s.names.give("LogEndOffset", fmt.Sprint(p.HighWatermark), "END")
}

func requestNamed(t *testing.T, name string) kmsg.Request {
	for key := range int16(kmsg.MaxKey + 1) {
		if kmsg.NameForKey(key) == name {
			return kmsg.RequestForKey(key)
		}
	}
	t.Fatalf("no API %s", name)
	return nil
}

// produce appends a batch of one record for each timestamp.
func (s *transcript) produce(t *testing.T, d *datadriven.TestData) string {
	var topic string
	var partition int32
	d.ScanArgs(t, "topic", &topic)
	d.ScanArgs(t, "partition", &partition)
	for _, arg := range d.CmdArgs {
		if arg.Key != "ts" {
			continue
		}
		for _, text := range arg.Vals {
			var ts int64
			if _, err := fmt.Sscan(text, &ts); err != nil {
				t.Fatal(err)
			}
			s.append(t, topic, partition, ts)
		}
	}
	return ""
}

func (s *transcript) append(t *testing.T, topic string, partition int32, ts int64) {
	b := record.NewBuilder()
	b.Append(ts, []byte("key"), []byte("value"))
	batch, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, -1, 10_000
	asked := kmsg.NewProduceRequestTopic()
	asked.Topic = topic
	asked.Partitions = []kmsg.ProduceRequestTopicPartition{{Partition: partition, Records: batch}}
	req.Topics = append(req.Topics, asked)
	answer := s.ask(t, req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	if answer.ErrorCode != 0 {
		t.Fatalf("produce to %s-%d: code %d, %v", topic, partition, answer.ErrorCode, answer.ErrorMessage)
	}
}
