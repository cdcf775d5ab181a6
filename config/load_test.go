package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/klamm-io/klamm/security"
)

func load(t *testing.T, sets ...string) *Broker {
	t.Helper()
	b, warnings, err := Load("", nil, sets)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	return b
}

func write(t *testing.T, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "server.properties")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestDefaults(t *testing.T) {
	b := load(t)
	here := Endpoint{Listener: "PLAINTEXT", Host: "127.0.0.1", Port: 9092}
	switch {
	case b.NodeID != 1, len(b.LogDirs) != 1, b.LogDirs[0] != "./klamm-data", b.HTTPListener != "127.0.0.1:9644":
	case len(b.Listeners) != 1, b.Listeners[0] != here, len(b.AdvertisedListeners) != 1, b.AdvertisedListeners[0] != here:
	case b.OffsetsTopicPartitions != 50, b.OffsetsTopicReplicationFactor != 1, b.NumPartitions != 1, b.DefaultReplicationFactor != 1:
	case !b.AutoCreateTopics, !b.DeleteTopicEnable, b.ConnectionsMaxIdle != 10*time.Minute, b.SocketRequestMaxBytes != 100<<20:
	case b.OffsetsRetention != 7*24*time.Hour, b.GroupInitialRebalanceDelay != 3*time.Second, b.ProducerIDExpiration != 24*time.Hour:
	case b.RequestMemoryBytes != 256<<20, b.LogFormat != "text", b.LogLevel != "info", b.InterBrokerListener != "PLAINTEXT":
	default:
		return
	}
	t.Errorf("unexpected defaults: %+v", b)
}

func TestLaterWins(t *testing.T) {
	file := write(t, "num.partitions=2\nlog.dirs=/a\nbroker.rack=r1\nklamm.log.level=debug\nnum.partitions=3\n")
	environ := []string{"KLAMM_LOG_DIRS=/b,/c", "HOME=/root", "KLAMM_BROKER_RACK=r2", "KLAMM_LOG_LEVEL=warn", "KLAMM_NUM_PARTITIONS="}
	b, warnings, err := Load(file, environ, []string{"broker.rack = r3", "broker.rack=r4=5"})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if b.Rack != "r4=5" {
		t.Errorf("the rack is %q; want what was set last", b.Rack)
	}
	if strings.Join(b.LogDirs, "|") != "/b|/c" || b.LogLevel != "warn" {
		t.Errorf("log dirs %v, level %s; want those of the environment", b.LogDirs, b.LogLevel)
	}
	if b.NumPartitions != 1 {
		t.Errorf("%d partitions; an empty variable stands for the default", b.NumPartitions)
	}
}

func TestEmptyValues(t *testing.T) {
	b := load(t, "klamm.http.listener=", "log.cleanup.policy=", "num.partitions=", "log.retention.ms=", "log.dirs=")
	topic, err := b.Topic(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b.HTTPListener != "" || topic.Delete || topic.Compact {
		t.Errorf("listener %q, delete %v, compact %v; want nothing", b.HTTPListener, topic.Delete, topic.Compact)
	}
	if b.NumPartitions != 1 || topic.RetentionMs != 604800000 || b.LogDirs[0] != "./klamm-data" {
		t.Errorf("%d partitions, retention %d, %v; want the defaults", b.NumPartitions, topic.RetentionMs, b.LogDirs)
	}
}

func TestWarnings(t *testing.T) {
	for set, want := range map[string]string{
		"zookeeper.connect=localhost:2181":         "zookeeper.connect has no effect here: nothing is kept in ZooKeeper",
		"num.io.threads=9":                         "num.io.threads has no effect here",
		"log.preallocate=true":                     "log.preallocate has no effect here: segments grow as they are written",
		"num.io.threads=8":                         "",
		"process.roles=":                           "",
		"controller.quorum.voters=1@a:9093":        "controller.quorum.voters has no effect here: without process.roles this node is a cluster of its own",
		"replica.fetch.max.bytes=many":             "replica.fetch.max.bytes has no effect here: without process.roles this node is a cluster of its own",
		"metadata.log.dir=/m":                      "metadata.log.dir has no effect here: without process.roles this node is a cluster of its own",
		"replica.fetch.max.bytes=1048576":          "",
		"listener.name.internal.x=y":               "listener.name.internal.x has no effect here",
		"log.message.format.version=2.8":           "log.message.format.version has no effect here",
		"log.retention.hour=1":                     `"log.retention.hour" is not a known key; did you mean log.retention.hours?`,
		"num.partition=4":                          `"num.partition" is not a known key; did you mean num.partitions?`,
		"node.iq=4":                                `"node.iq" is not a known key; did you mean node.id?`,
		"my.plugin.setting=4":                      `"my.plugin.setting" is not a known key`,
		"ssl.keystore.type=JKS":                    "",
		"security.inter.broker.protocol=PLAINTEXT": "",
		"sasl.jaas.config=":                        "",
	} {
		_, warnings, err := Load("", nil, []string{set})
		if err != nil {
			t.Errorf("%s: %v", set, err)
			continue
		}
		name, _, _ := strings.Cut(set, "=")
		switch {
		case want == "" && len(warnings) > 0, want != "" && len(warnings) != 1:
			t.Errorf("%s: warnings %v, want %q", set, warnings, want)
		case want != "" && (warnings[0].Text != "--set: "+want || warnings[0].Key != name):
			t.Errorf("%s: warning %v, want %q", set, warnings[0], want)
		}
	}
}

// A variable that was not meant for the broker is no reason not to start:
// Kubernetes sets KLAMM_PORT where there is a service called klamm.
func TestUnknownVariable(t *testing.T) {
	_, warnings, err := Load("", []string{"KLAMM_PORT=tcp://10.0.0.1:9092", "KLAMM_BROKERS=a:1"}, nil)
	if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0].Text, "environment variable KLAMM_PORT: ") {
		t.Errorf("error %v, warnings %v; want one of KLAMM_PORT", err, warnings)
	}
}

func TestRefused(t *testing.T) {
	for set, want := range map[string]string{
		"authorizer.class.name=com.example.Own":        "Invalid value com.example.Own for configuration authorizer.class.name: the only authorizer is org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"allow.everyone.if.no.acl.found=maybe":         "Expected value to be either true or false",
		"sasl.login.class=a.B":                         "this is not served",
		"security.inter.broker.protocol=SSL":           "no listener SSL is advertised",
		"listener.name.a.sasl.login.class=a.B":         "listener.name.a.sasl.login.class: this is not served",
		"listener.name.a.gssapi.sasl.jaas.config=a b;": "listener.name.a.gssapi.sasl.jaas.config: this is not served",
		"ssl.engine.factory.class=a.B":                 "this is not served",
		"ssl.enabled.protocols=TLSv1.1":                "TLSv1.1 is not spoken, only TLSv1.2 and TLSv1.3 are",
		"listener.name.a.ssl.client.auth=maybe":        "String must be one of: required, requested, none",
		"ssl.cipher.suites=TLS_RSA_WITH_RC4_128_SHA":   "TLS_RSA_WITH_RC4_128_SHA is no cipher suite that is served",
		"ssl.cipher.suites=TLS_AES_256_GCM_SHA384":     "name TLS_AES_128_GCM_SHA256 and TLS_CHACHA20_POLY1305_SHA256 too",
		"ssl.principal.mapping.rules=RULE:(":           "want DEFAULT, or RULE:",
		"listeners=SSL://a:1":                          "SSL speaks SSL and has no certificate",
		"super.users=User:a":                           "super.users: without authorizer.class.name everyone may do everything",
		"super.users=alice":                            `"alice" is no principal`,
		"super.users=User:a;Node:1":                    "Node:1 is of a type that only the cluster's nodes have",
		"num.partitions=0":                             "--set: Invalid value 0 for configuration num.partitions: Value must be at least 1",
		"num.partitions=x":                             "Not a number of type INT",
		"offsets.topic.replication.factor=40000":       "Not a number of type SHORT",
		"auto.create.topics.enable=on":                 "Expected value to be either true or false",
		"log.segment.bytes=14":                         "Value must be at least 1048576",
		"log.retention.ms=0":                           "log.retention.ms: Value must be at least 1, or -1",
		"log.retention.hours=0":                        "Value must be at least 1, or -1",
		"log.roll.ms=0":                                "Value must be at least 1",
		"klamm.flush.policy=never":                     "String must be one of: ack, interval",
		"klamm.http.listener=9644":                     "klamm.http.listener",
		"log.preallocate=maybe":                        "Expected value to be either true or false",
		"log.dir=":                                     "names no folder",
		"noequals":                                     "want key=value",
		"=5":                                           "want key=value",
	} {
		if _, _, err := Load("", nil, []string{set}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", set, err, want)
		}
	}
	_, _, err := Load("", nil, []string{"broker.id=2", "node.id=3"})
	if err == nil || !strings.Contains(err.Error(), "two names of one thing") {
		t.Errorf("broker.id and node.id differ: error %v", err)
	}
	_, _, err = Load("", nil, []string{"log.cleaner.min.compaction.lag.ms=6", "log.cleaner.max.compaction.lag.ms=5"})
	if err == nil || !strings.Contains(err.Error(), "conflict") {
		t.Errorf("lags in conflict: error %v", err)
	}
}

func TestAccessControl(t *testing.T) {
	b, warnings, err := Load("", nil, []string{"authorizer.class.name=" + security.StandardClass, "super.users= User:a; User:CN=b,O=c ;", "allow.everyone.if.no.acl.found=TRUE"})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	want := &security.StandardConfig{SuperUsers: []security.Principal{{Type: "User", Name: "a"}, {Type: "User", Name: "CN=b,O=c"}}, AllowIfNone: true}
	if !reflect.DeepEqual(b.AccessControl, want) {
		t.Errorf("%+v, want %+v", b.AccessControl, want)
	}
	if b, _, err = Load("", nil, []string{"authorizer.class.name="}); err != nil || b.AccessControl != nil {
		t.Errorf("without an authorizer: %+v, %v", b.AccessControl, err)
	}
}

// All that is wrong is said at once, each with its place.
func TestAllErrors(t *testing.T) {
	file := write(t, "# first\nnum.partitions=0\nlog.dirs=/x\nlog.segment.bytes=no\n")
	_, _, err := Load(file, nil, nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{file + ":2: Invalid value 0", file + ":4: Invalid value no"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestUnreadableFiles(t *testing.T) {
	if _, _, err := Load(filepath.Join(t.TempDir(), "none"), nil, nil); err == nil {
		t.Error("a file that is not there was read")
	}
	file := write(t, "a=b\nlog.dirs=\\u12")
	if _, _, err := Load(file, nil, nil); err == nil || !strings.Contains(err.Error(), file+": line 2") {
		t.Errorf("error %v, want the line", err)
	}
}

func TestNodeID(t *testing.T) {
	for _, c := range []struct {
		sets []string
		want int32
	}{{nil, 1}, {[]string{"node.id=7"}, 7}, {[]string{"broker.id=7"}, 7}, {[]string{"broker.id=-1"}, 1}, {[]string{"broker.id=-1", "node.id=7"}, 7}, {[]string{"broker.id=7", "node.id=7"}, 7}, {[]string{"broker.id=0"}, 0}} {
		if b := load(t, c.sets...); b.NodeID != c.want {
			t.Errorf("%v: node id %d, want %d", c.sets, b.NodeID, c.want)
		}
	}
}
