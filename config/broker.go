package config

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/klamm-io/klamm/protocol/compress"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/security/transport"
)

// Broker is how this broker is set, from its start to its end.
type Broker struct {
	NodeID              int32
	Rack                string
	Listeners           []Endpoint // to bind, for clients and brokers; none where the node is no broker
	AdvertisedListeners []Endpoint // to be reached
	InterBrokerListener string     // the one of them that brokers use; empty at a controller alone that is not told it
	HTTPListener        string     // host:port, empty for none
	LogDirs             []string
	MetadataLogDir      string // the folder of the cluster's metadata, mostly the first of LogDirs

	// TLS is how the listeners of protocol SSL are secured, by their names, and how this
	// node connects to such listeners of others.
	TLS map[string]transport.Settings

	// SASL is how clients authenticate at the listeners of protocol SASL_PLAINTEXT and
	// SASL_SSL, and this node at such listeners of others, by their names.
	SASL                      map[string]SASL
	FailedAuthenticationDelay time.Duration

	Roles                   Roles
	ControllerListenerNames []string   // that controllers are reached by, the first above all
	ControllerListeners     []Endpoint // to bind, in that order; none where Roles is not set or the node is no controller
	ControllerAdvertised    []Endpoint // the same to be reached
	Voters                  []Voter    // all, where they are set once and for all; else none
	BootstrapServers        []Endpoint // some controllers, without the listener's name, where voters may change

	BrokerSessionTimeout         time.Duration
	BrokerHeartbeatInterval      time.Duration // less than BrokerSessionTimeout
	QuorumElectionTimeout        time.Duration
	QuorumFetchTimeout           time.Duration
	QuorumRequestTimeout         time.Duration
	ReplicaLagMax                time.Duration
	ReplicaFetchWait             time.Duration // at most ReplicaLagMax
	ReplicaFetchBackoff          time.Duration
	ReplicaFetchMinBytes         int32
	ReplicaFetchMaxBytes         int32 // of one partition
	ReplicaFetchResponseMaxBytes int32
	ReplicaSelector              string // empty, or RackAwareSelector
	LeaderImbalanceCheck         time.Duration
	LeaderImbalancePercent       int // 0 to 100; more than this is put right
	AutoLeaderRebalance          bool
	ControlledShutdown           bool

	Audit         Audit
	AccessControl *security.StandardConfig // nil: everyone may do everything

	MaxConnections        int
	MaxConnectionsPerIP   int
	MaxConnectionsOf      map[string]int // in place of MaxConnectionsPerIP, by address
	ConnectionRate        int            // connections a second; math.MaxInt32: no bound
	ConnectionsMaxIdle    time.Duration  // 0: for ever
	SocketRequestMaxBytes int
	SocketSendBufferBytes int // -1: as the system has it
	RequestMemoryBytes    int64
	QuotaWindows          int           // over which the use of clients is measured, at least one
	QuotaWindow           time.Duration // how long one is

	NumPartitions            int32
	DefaultReplicationFactor int16
	AutoCreateTopics         bool
	DeleteTopicEnable        bool

	FetchMaxBytes                     int32
	MaxIncrementalFetchSessionSlots   int
	MaxRequestPartitionSizeLimit      int32
	OffsetsTopicPartitions            int32
	OffsetsTopicReplicationFactor     int16
	OffsetsTopicSegmentBytes          int32
	OffsetsTopicCompression           compress.Codec
	TransactionTopicPartitions        int32
	TransactionTopicReplicationFactor int16
	TransactionTopicSegmentBytes      int32
	TransactionTopicMinISR            int32
	OffsetMetadataMaxBytes            int32
	OffsetsRetention                  time.Duration
	OffsetsRetentionCheckInterval     time.Duration
	TransactionMaxTimeout             time.Duration
	TransactionAbortInterval          time.Duration
	TransactionalIDExpiration         time.Duration
	TransactionalIDExpiryInterval     time.Duration
	GroupMinSessionTimeout            time.Duration
	GroupMaxSessionTimeout            time.Duration
	GroupMaxSize                      int32
	GroupInitialRebalanceDelay        time.Duration
	ConsumerGroups                    ConsumerGroups
	ProducerIDExpiration              time.Duration
	CheckpointInterval                time.Duration
	RetentionCheckInterval            time.Duration
	RecoveryThreadsPerDataDir         int
	ScrubBytesPerSecond               int64
	ScrubInterval                     time.Duration
	LogFormat, LogLevel, flushPolicy  string
	CleanerEnable                     bool

	bound  []Endpoint        // all of listeners
	values map[string]string // what was set, by key; each has passed its key's check
}

// newBroker makes a broker of values that their keys have accepted.
func newBroker(values map[string]string) (*Broker, error) {
	b := &Broker{values: values}
	if err := b.fillNode(); err != nil {
		return nil, err
	}
	if err := b.fillRoles(); err != nil {
		return nil, err
	}
	if err := b.fillListeners(); err != nil {
		return nil, err
	}
	if err := b.fillAccessControl(); err != nil {
		return nil, err
	}
	if err := b.checkCertificates(); err != nil {
		return nil, err
	}
	if err := b.checkLogins(); err != nil {
		return nil, err
	}
	if err := b.fillReplication(); err != nil {
		return nil, err
	}
	if err := checkLags(values, "log.cleaner.min.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms"); err != nil {
		return nil, err
	}
	if err := checkCleaner(values); err != nil {
		return nil, err
	}
	b.fillLimits()
	b.fillAudit()
	b.fillGroups()
	b.fillLogs()
	if err := b.checkConsumerGroups(); err != nil {
		return nil, err
	}
	return b, nil
}

// IsSet reports whether a key of the broker is set, if only to its default.
func (b *Broker) IsSet(name string) bool {
	_, set := b.values[name]
	return set
}

// value is what is set for a key of the broker, or its default.
func (b *Broker) value(name string) string {
	if v, set := b.values[name]; set {
		return v
	}
	return brokerKeyByName[name].standard
}

// The typed readers rely on check, which every value has passed.

func (b *Broker) int(name string) int64 { return number(b.value(name)) }

func (b *Broker) bool(name string) bool { return strings.EqualFold(b.value(name), "true") }

func (b *Broker) ms(name string) time.Duration { return milliseconds(b.int(name)) }

// milliseconds is a duration, the longest one where there is none so long.
func milliseconds(n int64) time.Duration { return units(n, time.Millisecond) }

func units(n int64, unit time.Duration) time.Duration {
	const longest = 1<<63 - 1
	return time.Duration(min(n, longest/int64(unit))) * unit
}

// fillNode reads who the broker is and where it keeps its data.
func (b *Broker) fillNode() error {
	if err := b.joinNames("node.id", "broker.id"); err != nil {
		return err
	}
	b.NodeID = int32(b.int("node.id"))
	b.Rack = b.value("broker.rack")
	b.HTTPListener = b.value("klamm.http.listener")
	if _, _, err := net.SplitHostPort(b.HTTPListener); err != nil && b.HTTPListener != "" {
		return fmt.Errorf("klamm.http.listener: %w; want host:port, or nothing for none", err)
	}
	b.LogDirs = splitList(b.value("log.dirs"))
	if len(b.LogDirs) == 0 {
		b.LogDirs = splitList(b.value("log.dir"))
	}
	if len(b.LogDirs) == 0 {
		return errors.New("log.dirs: names no folder")
	}
	if b.MetadataLogDir = b.value("metadata.log.dir"); b.MetadataLogDir == "" {
		b.MetadataLogDir = b.LogDirs[0]
	}
	return b.CheckCordoned(b.value(cordonedKey))
}

// joinNames gives two names of one thing the same value. The old name's -1 asked
// ZooKeeper for a number and says nothing here.
func (b *Broker) joinNames(name, old string) error {
	if b.int(old) < 0 {
		delete(b.values, old)
	}
	n, set := b.values[name]
	o, oldSet := b.values[old]
	switch {
	case set && oldSet && b.int(name) != b.int(old):
		return fmt.Errorf("%s is %s and %s is %s: they are two names of one thing, set one of them", old, o, name, n)
	case set:
		b.values[old] = n
	case oldSet:
		b.values[name] = o
	}
	return nil
}

func (b *Broker) fillLimits() {
	b.MaxConnections = int(b.int("max.connections"))
	b.MaxConnectionsPerIP = int(b.int("max.connections.per.ip"))
	b.MaxConnectionsOf, _ = parseAddressLimits(b.value("max.connections.per.ip.overrides"))
	b.ConnectionRate = int(b.int("max.connection.creation.rate"))
	b.ConnectionsMaxIdle = max(0, b.ms("connections.max.idle.ms"))
	b.SocketRequestMaxBytes = int(b.int("socket.request.max.bytes"))
	b.QuotaWindows = int(b.int("quota.window.num"))
	b.QuotaWindow = units(b.int("quota.window.size.seconds"), time.Second)
	b.SocketSendBufferBytes = int(b.int("socket.send.buffer.bytes"))
	b.RequestMemoryBytes = b.int("klamm.request.memory.bytes")
	b.NumPartitions = int32(b.int("num.partitions"))
	b.DefaultReplicationFactor = int16(b.int("default.replication.factor"))
	b.AutoCreateTopics = b.bool("auto.create.topics.enable")
	b.DeleteTopicEnable = b.bool("delete.topic.enable")
	b.FetchMaxBytes = int32(b.int("fetch.max.bytes"))
	b.MaxIncrementalFetchSessionSlots = int(b.int("max.incremental.fetch.session.cache.slots"))
	b.MaxRequestPartitionSizeLimit = int32(b.int("max.request.partition.size.limit"))
}

func (b *Broker) fillGroups() {
	b.OffsetsTopicPartitions = int32(b.int("offsets.topic.num.partitions"))
	b.OffsetsTopicReplicationFactor = int16(b.int("offsets.topic.replication.factor"))
	b.OffsetsTopicSegmentBytes = int32(b.int("offsets.topic.segment.bytes"))
	b.OffsetsTopicCompression = compress.Codec(b.int("offsets.topic.compression.codec"))
	b.TransactionTopicPartitions = int32(b.int("transaction.state.log.num.partitions"))
	b.TransactionTopicReplicationFactor = int16(b.int("transaction.state.log.replication.factor"))
	b.TransactionTopicSegmentBytes = int32(b.int("transaction.state.log.segment.bytes"))
	b.TransactionTopicMinISR = int32(b.int("transaction.state.log.min.isr"))
	b.TransactionMaxTimeout = b.ms("transaction.max.timeout.ms")
	b.TransactionAbortInterval = b.ms("transaction.abort.timed.out.transaction.cleanup.interval.ms")
	b.TransactionalIDExpiration = b.ms("transactional.id.expiration.ms")
	b.TransactionalIDExpiryInterval = b.ms("transaction.remove.expired.transaction.cleanup.interval.ms")
	b.OffsetMetadataMaxBytes = int32(b.int("offset.metadata.max.bytes"))
	b.OffsetsRetention = time.Duration(b.int("offsets.retention.minutes")) * time.Minute
	b.OffsetsRetentionCheckInterval = b.ms("offsets.retention.check.interval.ms")
	b.GroupMinSessionTimeout = b.ms("group.min.session.timeout.ms")
	b.GroupMaxSessionTimeout = b.ms("group.max.session.timeout.ms")
	b.GroupMaxSize = int32(b.int("group.max.size"))
	b.GroupInitialRebalanceDelay = b.ms("group.initial.rebalance.delay.ms")
	b.fillConsumerGroups()
}

func (b *Broker) fillLogs() {
	b.ProducerIDExpiration = b.ms("producer.id.expiration.ms")
	b.CheckpointInterval = b.ms("log.flush.offset.checkpoint.interval.ms")
	b.RetentionCheckInterval = b.ms("log.retention.check.interval.ms")
	b.RecoveryThreadsPerDataDir = int(b.int("num.recovery.threads.per.data.dir"))
	b.ScrubBytesPerSecond = b.int("klamm.scrub.bytes.per.second")
	b.ScrubInterval = b.ms("klamm.scrub.interval.ms")
	b.CleanerEnable = b.bool("log.cleaner.enable")
	b.LogFormat, b.LogLevel, b.flushPolicy = b.value("klamm.log.format"), b.value("klamm.log.level"), b.value("klamm.flush.policy")
}
