package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// kafkaVerdict is what Kafka said to a request: which settings, and then the
// error's code and message.
type kafkaVerdict struct {
	settings map[string]string
	text     string // settings as they stand in the file
	code     int16
	message  string
}

func kafkaVerdicts(t *testing.T, file string) []kafkaVerdict {
	t.Helper()
	var all []kafkaVerdict
	lines := kafkaLines(t, file)
	for i := 0; i < len(lines); i += 2 {
		v := kafkaVerdict{text: lines[i], settings: map[string]string{}}
		for _, setting := range strings.Split(lines[i], "|") {
			name, value, _ := strings.Cut(setting, "=")
			v.settings[name] = value
		}
		code, message, _ := strings.Cut(strings.TrimLeft(lines[i+1], " "), " ")
		if _, err := fmt.Sscan(code, &v.code); err != nil {
			t.Fatalf("%s: %v", lines[i+1], err)
		}
		v.message = message
		all = append(all, v)
	}
	return all
}

// inOurWords are settings that Kafka refuses in long sentences.
var inOurWords = map[string]bool{
	"cleanup.policy=compact,,delete": true, "leader.replication.throttled.replicas=1": true, "remote.storage.enable=true": true,
	"log.retention.ms=0": true, "log.roll.ms=0": true,
}

func compareVerdicts(t *testing.T, file string, validate func(map[string]string) error) {
	for _, kafka := range kafkaVerdicts(t, file) {
		err := validate(kafka.settings)
		var coded *kerr.Error
		errors.As(err, &coded)
		switch {
		case kafka.code == 0 && err != nil:
			t.Errorf("%s: %v; Kafka accepts it", kafka.text, err)
		case kafka.code != 0 && (coded == nil || coded.Code != kafka.code):
			t.Errorf("%s: %v; Kafka says %d %s", kafka.text, err, kafka.code, kafka.message)
		case kafka.code != 0 && !inOurWords[kafka.text]:
			if want := kafka.message + ": " + coded.Error(); err.Error() != want {
				t.Errorf("%s:\nhave %v\nwant %s", kafka.text, err, want)
			}
		}
	}
}

func TestTopicsAreValidatedAsByKafka(t *testing.T) {
	compareVerdicts(t, "create-topic.txt", ValidateTopic)
}

func TestRunTimeChangesAreValidatedAsByKafka(t *testing.T) {
	compareVerdicts(t, "alter-broker.txt", ValidateDynamicBroker)
}

// What has no effect at run time is not accepted, even where Kafka does.
func TestChangesThatWouldHaveNoEffect(t *testing.T) {
	for _, configs := range []map[string]string{
		{"num.io.threads": "9"}, {"max.connections": "5"}, {"log.local.retention.ms": "5"}, {"klamm.log.level": "debug"},
		{"log.cleaner.min.compaction.lag.ms": "6", "log.cleaner.max.compaction.lag.ms": "5"},
	} {
		if err := ValidateDynamicBroker(configs); !errors.Is(err, kerr.InvalidRequest) {
			t.Errorf("%v: error %v, want INVALID_REQUEST", configs, err)
		}
	}
}

// Whatever may be set at run time is shown as not read-only, and reaches topics.
func TestDynamicKeysReachTopics(t *testing.T) {
	b := load(t)
	for _, e := range b.DescribeBroker(nil, nil) {
		err := ValidateDynamicBroker(map[string]string{e.Name: e.Value})
		if refused := err != nil && !e.Null; refused != (e.ReadOnly && !e.Null) {
			t.Errorf("%s: read-only is %v, but: %v", e.Name, e.ReadOnly, err)
		}
	}
	for i := range topicKeys {
		k := &topicKeys[i]
		if holder := brokerKeyByName[k.broker]; holder == nil || !holder.dynamic {
			continue
		}
		if got := b.topicValue(k, map[string]string{k.broker: "1"}, nil); got != "1" {
			t.Errorf("%s is %q after %s was set", k.name, got, k.broker)
		}
	}
}

func TestDescribeClusterDefault(t *testing.T) {
	got := lines(load(t, "log.roll.ms=7").DescribeClusterDefault(map[string]string{"log.roll.ms": "5", "not.ours": "1"}))
	diff(t, got, []string{`log.roll.ms LONG "5" every-broker | log.roll.ms="5" every-broker`})
}

// The broker's own value goes before that for all, as a client reads them.
func TestDescribeBrokerSynonyms(t *testing.T) {
	b := load(t, "log.retention.ms=3", "log.retention.hours=+4")
	var got []string
	for _, e := range b.DescribeBroker(map[string]string{"log.retention.ms": "2"}, map[string]string{"log.retention.ms": "1"}) {
		if e.Name == "log.retention.ms" || e.Name == "log.retention.hours" {
			got = append(got, entryLine(e))
		}
	}
	diff(t, got, []string{
		`log.retention.ms LONG "1" broker | log.retention.ms="1" broker | log.retention.ms="2" every-broker | log.retention.ms="3" static | log.retention.hours="+4" static | log.retention.hours="168" default`,
		`log.retention.hours INT "4" static read-only | log.retention.hours="+4" static | log.retention.hours="168" default`,
	})
}
