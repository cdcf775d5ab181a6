package config

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The files of testdata/kafka-4.3.1 are what Apache Kafka 4.3.1 answered, one
// entry a line.

func kafkaLines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/kafka-4.3.1/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimRight(string(text), "\n"), "\n")
}

var sourceNames = map[Source]string{TopicConfig: "topic", DynamicBrokerConfig: "broker", DynamicDefaultBrokerConfig: "every-broker", StaticBrokerConfig: "static", DefaultConfig: "default"}

func entryLine(e Entry) string {
	value := strconv.Quote(e.Value)
	if e.Null {
		value = "null"
	}
	line := fmt.Sprintf("%s %s %s %s", e.Name, e.Type, value, sourceNames[e.Source])
	if e.ReadOnly {
		line += " read-only"
	}
	if e.Sensitive {
		line += " sensitive"
	}
	for _, s := range e.Synonyms {
		line += fmt.Sprintf(" | %s=%q %s", s.Name, s.Value, sourceNames[s.Source])
	}
	return line
}

func lines(entries []Entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, entryLine(e))
	}
	return all
}

// everyBroker is what a new cluster of Kafka 4.3 has set for all brokers.
var everyBroker = map[string]string{"min.insync.replicas": "1"}

func TestTopicsAreDescribedAsByKafka(t *testing.T) {
	b := load(t)
	overrides := map[string]string{
		"cleanup.policy": "delete, compact", "retention.ms": "+5", "preallocate": "TRUE", "min.insync.replicas": "2", "compression.type": "zstd",
		"compression.zstd.level": "7", "segment.bytes": " 2097152 ", "flush.ms": "1000", "min.cleanable.dirty.ratio": ".25",
		"leader.replication.throttled.replicas": "0:1",
	}
	for file, overrides := range map[string]map[string]string{"topic-defaults.txt": nil, "topic-overrides.txt": overrides} {
		t.Run(file, func(t *testing.T) {
			diff(t, lines(b.DescribeTopic(everyBroker, nil, overrides)), kafkaLines(t, file))
		})
	}
}

func diff(t *testing.T, got, want []string) {
	t.Helper()
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("missing %s", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("have    %s", line)
		}
	}
}

// otherwise are the broker's keys that are described otherwise than by Kafka, and
// why.
var otherwise = map[string]string{
	"broker.heartbeat.interval.ms":             "as often as broker.session.timeout.ms asks for",
	"broker.id":                                "the default is a number, not a wish for one",
	"broker.session.timeout.ms":                "who is gone is missed sooner",
	"listener.security.protocol.map":           "not changed at run time",
	"listeners":                                "not changed at run time; by default only this machine reaches the broker",
	"log.dir":                                  "the default is under the working folder",
	"log.local.retention.bytes":                "there is no tiered storage",
	"log.local.retention.ms":                   "there is no tiered storage",
	"max.connection.creation.rate":             "not changed at run time",
	"max.connections":                          "not changed at run time",
	"max.connections.per.ip":                   "not changed at run time",
	"max.connections.per.ip.overrides":         "not changed at run time",
	"node.id":                                  "there is a default",
	"num.recovery.threads.per.data.dir":        "not changed at run time",
	"offsets.topic.replication.factor":         "the default suits a lone node",
	"process.roles":                            "there is a default",
	"producer.id.expiration.ms":                "not changed at run time",
	"sasl.enabled.mechanisms":                  "not changed at run time",
	"sasl.jaas.config":                         "not changed at run time",
	"sasl.mechanism.inter.broker.protocol":     "not changed at run time",
	"sasl.server.callback.handler.class":       "classes are not loaded",
	"socket.send.buffer.bytes":                 "the default makes large fetches cheapest",
	"ssl.key.password":                         "not changed at run time; its file is read anew when it changes",
	"ssl.keystore.certificate.chain":           "not changed at run time; its file is read anew when it changes",
	"ssl.keystore.key":                         "not changed at run time; its file is read anew when it changes",
	"ssl.keystore.location":                    "not changed at run time; its file is read anew when it changes",
	"ssl.keystore.password":                    "not changed at run time; its file is read anew when it changes",
	"ssl.keystore.type":                        "not changed at run time; its file is read anew when it changes",
	"ssl.truststore.certificates":              "not changed at run time; its file is read anew when it changes",
	"ssl.truststore.location":                  "not changed at run time; its file is read anew when it changes",
	"ssl.truststore.password":                  "not changed at run time; its file is read anew when it changes",
	"ssl.truststore.type":                      "not changed at run time; its file is read anew when it changes",
	"ssl.cipher.suites":                        "not changed at run time",
	"ssl.client.auth":                          "not changed at run time",
	"ssl.enabled.protocols":                    "not changed at run time",
	"ssl.endpoint.identification.algorithm":    "not changed at run time",
	"transaction.state.log.min.isr":            "the default suits a lone node",
	"transaction.state.log.replication.factor": "the default suits a lone node",
}

// givenUp are keys that Kafka 4 has no more and that count here.
var givenUp = map[string]bool{"leader.imbalance.per.broker.percentage": true}

func TestBrokersAreDescribedAsByKafka(t *testing.T) {
	b, _, err := Load("testdata/kafka-4.3.1/server.properties", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	kafka := map[string]string{}
	for _, line := range kafkaLines(t, "broker.txt") {
		name, _, _ := strings.Cut(line, " ")
		kafka[name] = line
	}
	for _, e := range b.DescribeBroker(everyBroker, nil) {
		want, known := kafka[e.Name]
		got := entryLine(e)
		switch _, differs := otherwise[e.Name]; {
		case strings.HasPrefix(e.Name, "klamm."), givenUp[e.Name]:
		case !known:
			t.Errorf("Kafka has no key %s", e.Name)
		case differs && got == want:
			t.Errorf("%s is described as by Kafka after all", e.Name)
		case !differs && got != want:
			t.Errorf("have %s\nwant %s", got, want)
		}
	}
}

// Every key of Kafka's brokers is either served or known to have no effect, with
// its default.
func TestAllKeysOfKafkaAreKnown(t *testing.T) {
	lines := kafkaLines(t, "broker.txt")
	for _, line := range lines {
		name, rest, _ := strings.Cut(line, " ")
		standard, unused := unusedKeys[name]
		if served := brokerKeyByName[name] != nil; served == unused {
			t.Errorf("%s: served %v, unused %v; want one of them", name, served, unused)
		}
		_, want, found := strings.Cut(rest, " | "+name+"=")
		if i := strings.LastIndex(rest, " | "+name+"="); i >= 0 && found {
			want = rest[i+len(" | "+name+"="):]
		}
		value, isDefault := strings.CutSuffix(want, " default")
		if plain, err := strconv.Unquote(value); unused && isDefault && (err != nil || plain != standard) {
			t.Errorf("%s: the default is %q, want %s", name, standard, value)
		}
	}
	if served := len(lines) - len(unusedKeys); served < 60 || served > len(brokerKeys) {
		t.Errorf("%d of Kafka's %d keys are served, of %d", served, len(lines), len(brokerKeys))
	}
}
