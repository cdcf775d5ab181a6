package config

import (
	"os"
	"strings"
	"testing"
	"time"
)

// stock is the server.properties that Kafka 4.3 is distributed with, without its
// comments.
const stock = `process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
`

func TestKafkasOwnFile(t *testing.T) {
	b, warnings, err := Load(write(t, stock), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		if !strings.HasPrefix(w.Key, "share.coordinator.") {
			t.Errorf("warned of %s: %s", w.Key, w.Text)
		}
	}
	if b.Roles != (Roles{Broker: true, Controller: true, Set: true}) || len(b.Voters) != 0 || addresses(b.BootstrapServers) != "://localhost:9093" {
		t.Errorf("roles %+v, voters %v, bootstrap servers %v", b.Roles, b.Voters, b.BootstrapServers)
	}
	for what, got := range map[string][]Endpoint{
		"PLAINTEXT://:9092":           b.Listeners,
		"PLAINTEXT://localhost:9092":  b.AdvertisedListeners,
		"CONTROLLER://:9093":          b.ControllerListeners,
		"CONTROLLER://localhost:9093": b.ControllerAdvertised,
	} {
		if addresses(got) != what {
			t.Errorf("listeners %s, want %s", addresses(got), what)
		}
	}
	if b.MetadataLogDir != "/tmp/kraft-combined-logs" || b.InterBrokerListener != "PLAINTEXT" {
		t.Errorf("metadata in %s, brokers use %s", b.MetadataLogDir, b.InterBrokerListener)
	}
}

func TestClusterDefaults(t *testing.T) {
	b := load(t)
	switch {
	case b.Roles != Roles{Broker: true, Controller: true}, b.Voters != nil, b.BootstrapServers != nil, b.ControllerListeners != nil, b.ControllerAdvertised != nil:
	case b.BrokerSessionTimeout != 1500*time.Millisecond, b.BrokerHeartbeatInterval != 300*time.Millisecond, b.MetadataLogDir != b.LogDirs[0]:
	case b.QuorumElectionTimeout != time.Second, b.QuorumFetchTimeout != 2*time.Second, b.QuorumRequestTimeout != 2*time.Second:
	case b.ReplicaLagMax != 30*time.Second, b.ReplicaFetchWait != 500*time.Millisecond, b.ReplicaFetchBackoff != time.Second:
	case b.ReplicaFetchMinBytes != 1, b.ReplicaFetchMaxBytes != 1<<20, b.ReplicaFetchResponseMaxBytes != 10<<20, b.ReplicaSelector != "":
	case b.LeaderImbalanceCheck != 5*time.Minute, b.LeaderImbalancePercent != 0, !b.AutoLeaderRebalance, !b.ControlledShutdown:
	default:
		return
	}
	t.Errorf("unexpected defaults: %+v", b)
}

// What a node alone is told about clusters changes nothing.
func TestAloneIsAlone(t *testing.T) {
	b, _, err := Load("", nil, []string{"controller.quorum.voters=2@a:9093", "broker.session.timeout.ms=1", "metadata.log.dir=/m", "listeners=PLAINTEXT://a:1,C://a:2", "controller.listener.names=C"})
	if err != nil {
		t.Fatal(err)
	}
	if b.Voters != nil || b.BrokerSessionTimeout != 1500*time.Millisecond || b.MetadataLogDir != "./klamm-data" || b.ControllerListeners != nil {
		t.Errorf("voters %v, session %v, metadata in %s, controller listeners %v", b.Voters, b.BrokerSessionTimeout, b.MetadataLogDir, b.ControllerListeners)
	}
}

// node is how the tests below set a node, over which they set what they are about.
var node = []string{"process.roles=broker,controller", "node.id=2", "controller.quorum.voters=1@a:9093,2@b:9093,3@[::1]:9093",
	"listeners=PLAINTEXT://b:9092,CONTROLLER://b:9093", "controller.listener.names=CONTROLLER"}

func TestVoters(t *testing.T) {
	b := load(t, append(node, "metadata.log.dir=/m", "replica.selector.class="+RackAwareSelector)...)
	want := []Voter{{1, "a", 9093}, {2, "b", 9093}, {3, "::1", 9093}}
	if len(b.Voters) != 3 || b.Voters[0] != want[0] || b.Voters[1] != want[1] || b.Voters[2] != want[2] {
		t.Errorf("voters %v, want %v", b.Voters, want)
	}
	if got := b.Voters[2].Address(); got != "[::1]:9093" {
		t.Errorf("node 3 is at %s", got)
	}
	if b.MetadataLogDir != "/m" || b.ReplicaSelector != RackAwareSelector {
		t.Errorf("metadata in %s, replicas selected by %q", b.MetadataLogDir, b.ReplicaSelector)
	}
}

func TestRoles(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name                                          string
		sets                                          []string
		bound, advertised, controllers, controllersAt string
	}{
		{"both", nil, "PLAINTEXT://b:9092", "PLAINTEXT://b:9092", "CONTROLLER://b:9093", "CONTROLLER://b:9093"},
		{"controller on every address", []string{"listeners=CONTROLLER://0.0.0.0:9093,PLAINTEXT://b:9092"},
			"PLAINTEXT://b:9092", "PLAINTEXT://b:9092", "CONTROLLER://0.0.0.0:9093", "CONTROLLER://" + host + ":9093"},
		{"controller advertised elsewhere", []string{"advertised.listeners=PLAINTEXT://b:9092,CONTROLLER://c:19093"},
			"PLAINTEXT://b:9092", "PLAINTEXT://b:9092", "CONTROLLER://b:9093", "CONTROLLER://c:19093"},
		{"two for controllers", []string{"controller.listener.names=B,A", "listeners=A://b:1,PLAINTEXT://b:2,B://b:3"},
			"PLAINTEXT://b:2", "PLAINTEXT://b:2", "B://b:3,A://b:1", "B://b:3,A://b:1"},
		{"broker, said twice", []string{"process.roles=broker,broker", "node.id=4", "listeners=PLAINTEXT://b:9092"}, "PLAINTEXT://b:9092", "PLAINTEXT://b:9092", "", ""},
		{"controller", []string{"process.roles=controller", "listeners=CONTROLLER://b:9093"}, "", "", "CONTROLLER://b:9093", "CONTROLLER://b:9093"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := load(t, append(node, c.sets...)...)
			for _, l := range []struct {
				what string
				got  []Endpoint
				want string
			}{
				{"bound", b.Listeners, c.bound}, {"advertised", b.AdvertisedListeners, c.advertised},
				{"bound for controllers", b.ControllerListeners, c.controllers}, {"advertised for controllers", b.ControllerAdvertised, c.controllersAt},
			} {
				if got := addresses(l.got); got != l.want {
					t.Errorf("%s: %s, want %s", l.what, got, l.want)
				}
			}
		})
	}
}

func TestContradictions(t *testing.T) {
	const broker = "process.roles=broker"
	for _, c := range []struct {
		want string
		sets []string
	}{
		{"String must be one of: broker, controller", []string{"process.roles=broker,zookeeper"}},
		{"node.id is not set", []string{"node.id="}},
		{"either controller.quorum.bootstrap.servers must name controllers", []string{"controller.quorum.voters="}},
		{"node 4, which is a controller by process.roles, must be among them", []string{"node.id=4"}},
		{"node 2, which is no controller by process.roles, must not be among them", []string{broker, "listeners=PLAINTEXT://b:9092"}},
		{"node 2 is there twice", []string{"controller.quorum.voters=2@a:1,2@b:1"}},
		{"nodes 2 and 4 are both at a:1", []string{"controller.quorum.voters=2@a:1,3@a:2,4@a:1"}},
		{"want ID@host:port", []string{"controller.quorum.voters=a:9093"}},
		{"want ID@host:port", []string{"controller.quorum.voters=-1@a:9093"}},
		{"missing port in address", []string{"controller.quorum.voters=2@a"}},
		{"the port should be from 1 to 65535", []string{"controller.quorum.voters=2@a:0"}},
		{`"a b" is no name of a host`, []string{"controller.quorum.voters=2@a b:9093"}},
		{`nobody can connect to the host "0.0.0.0"`, []string{"controller.quorum.voters=2@0.0.0.0:9093"}},
		{"controller.quorum.bootstrap.servers: \"a\": address a: missing port", []string{"controller.quorum.bootstrap.servers=a"}},
		{"controller.listener.names is not set", []string{"controller.listener.names="}},
		{"controller.listener.names: D is not among the listeners, where a controller binds it", []string{"controller.listener.names=CONTROLLER,D"}},
		{"controller.listener.names has all of them", []string{"listeners=CONTROLLER://b:9093"}},
		{"CONTROLLER is one of controller.listener.names, which only a controller binds", []string{broker, "node.id=4"}},
		{"PLAINTEXT is not one of controller.listener.names, and with process.roles=controller", []string{"process.roles=controller"}},
		{"controller.listener.names: CONTROLLER has no protocol", []string{"listener.security.protocol.map=PLAINTEXT:PLAINTEXT"}},
		{"controller.listener.names: CONTROLLER speaks KERBEROS, which is not served", []string{"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:KERBEROS"}},
		{"listeners: CONTROLLER speaks SSL and has no certificate", []string{"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:SSL"}},
		{`CONTROLLER: nobody can connect to ""`, []string{"advertised.listeners=PLAINTEXT://b:9092,CONTROLLER://:9093"}},
		{"no listener CONTROLLER is advertised", []string{"inter.broker.listener.name=CONTROLLER"}},
		{"the session must be longer", []string{"broker.session.timeout.ms=300"}},
		{"the lag must be at least as long", []string{"replica.lag.time.max.ms=499"}},
		{"String must be one of: " + RackAwareSelector, []string{"replica.selector.class=my.Selector"}},
		{"Value must be no more than 100", []string{"leader.imbalance.per.broker.percentage=101"}},
	} {
		if _, _, err := Load("", nil, append(node, c.sets...)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want %q", c.sets, err, c.want)
		}
	}
}
