package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// State is what the broker is at the moment of a scrape.
type State interface {
	Broker() Broker
	Partitions() []Partition
	Groups() []Group
	Cleaner() Cleaner
	Quotas() []Quota
}

// Broker is the state of the whole node.
type Broker struct {
	ID                int32
	Address           string
	Topics            int
	OfflinePartitions int
	LogDirs           map[string]bool // their paths, and whether they can be used
	ActiveController  bool
	QuorumLeader      int32 // -1 where none is known
	QuorumEpoch       int32
	Groups            map[GroupKind]int // number of groups
	Transactions      map[string]int    // number of transactional ids by state, as in "Ongoing"
	Undelivered       int               // transactions whose markers could not be written and are tried again
	LateTransactions  int               // partitions with a transaction that should have ended
	ProducerIDs       int               // producers that the partitions remember
}

// Partition is the state of one partition that this node leads.
type Partition struct {
	Topic     string
	Partition int32
	LogStart  int64
	Stable    int64 // last stable offset
	End       int64 // high watermark
	LogEnd    int64
	Size      int64 // bytes
	Segments  int
	Leader    int32
	Preferred int32
	Replicas  int
	InSync    int
	MinInSync int
}

// GroupKind is a group's type, classic or consumer, and its state, as in "Stable".
type GroupKind struct{ Type, State string }

// Group is what a consumer group has committed.
type Group struct {
	Name    string
	Members int
	Offsets []GroupOffset
}

// GroupOffset is a group's committed offset in one partition.
type GroupOffset struct {
	Topic     string
	Partition int32
	Offset    int64
	Lag       int64 // end - offset, 0 at least; -1 where the partition is not known here
}

type stateCollector struct{ state State }

// Describe sends nothing: partitions and groups come and go.
func (c *stateCollector) Describe(chan<- *prometheus.Desc) {}

// Collect asks the state once and sends it under both families of names.
func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	s := sender{ch}
	broker, partitions := c.state.Broker(), c.state.Partitions()
	s.broker(broker, partitions)
	topics := map[string]int{}
	for _, p := range partitions {
		topics[p.Topic]++
		s.partition(p)
	}
	for topic, n := range topics {
		s.gauge(topicPartitions, float64(n), topic)
	}
	offsets := 0
	for _, g := range c.state.Groups() {
		offsets += len(g.Offsets)
		s.group(g)
	}
	s.gauge(groupOffsets, float64(offsets))
	s.cleaner(c.state.Cleaner())
	for _, q := range c.state.Quotas() {
		s.quota(q)
	}
}

type sender struct{ ch chan<- prometheus.Metric }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

func (s sender) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// untyped is for names of others that a gauge must not have: those that end in _sum.
func (s sender) untyped(d *prometheus.Desc, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.UntypedValue, v, labels...)
}

// The JMX exporter's names, as its example configuration for Kafka makes them.
var (
	brokerState            = desc("kafka_server_kafkaserver_brokerstate", "State of the broker: 3 is running.")
	underReplicated        = desc("kafka_server_replicamanager_underreplicatedpartitions", "Partitions led here with fewer in-sync replicas than replicas.")
	underMinISR            = desc("kafka_server_replicamanager_underminisrpartitioncount", "Partitions led here with fewer in-sync replicas than min.insync.replicas.")
	atMinISR               = desc("kafka_server_replicamanager_atminisrpartitioncount", "Partitions led here with just min.insync.replicas in-sync replicas.")
	partitionCount         = desc("kafka_server_replicamanager_partitioncount", "Partitions with a replica here.")
	leaderCount            = desc("kafka_server_replicamanager_leadercount", "Partitions led here.")
	offlineReplicas        = desc("kafka_server_replicamanager_offlinereplicacount", "Replicas here that cannot be served.")
	logDirOffline          = desc("kafka_log_logmanager_logdirectoryoffline", "1 where a log folder cannot be used.", "logDirectory")
	offlineLogDirs         = desc("kafka_log_logmanager_offlinelogdirectorycount", "Log folders that cannot be used.")
	activeController       = desc("kafka_controller_kafkacontroller_activecontrollercount", "1 where this node is the active controller.")
	offlinePartitions      = desc("kafka_controller_kafkacontroller_offlinepartitionscount", "Partitions without a leader.")
	quorumLeader           = desc("kafka_server_raft_metrics_current_leader", "Node that leads the metadata quorum, as far as this one knows; -1 for none.")
	quorumEpoch            = desc("kafka_server_raft_metrics_current_epoch", "Epoch of that leader.")
	globalTopics           = desc("kafka_controller_kafkacontroller_globaltopiccount", "Topics of the cluster.")
	globalPartitions       = desc("kafka_controller_kafkacontroller_globalpartitioncount", "Partitions of the cluster.")
	activeBrokers          = desc("kafka_controller_kafkacontroller_activebrokercount", "Brokers that are registered and not fenced.")
	fencedBrokers          = desc("kafka_controller_kafkacontroller_fencedbrokercount", "Brokers that are registered and fenced.")
	preferredImbalance     = desc("kafka_controller_kafkacontroller_preferredreplicaimbalancecount", "Partitions whose leader is not the preferred replica.")
	logSize                = desc("kafka_log_log_size", "Bytes of a partition's segments.", "topic", "partition")
	logSegments            = desc("kafka_log_log_numlogsegments", "Segments of a partition.", "topic", "partition")
	logStart               = desc("kafka_log_log_logstartoffset", "First offset of a partition.", "topic", "partition")
	logEnd                 = desc("kafka_log_log_logendoffset", "Offset that a partition's next record gets.", "topic", "partition")
	partitionUnder         = desc("kafka_cluster_partition_underreplicated", "1 where a partition has fewer in-sync replicas than replicas.", "topic", "partition")
	partitionISR           = desc("kafka_cluster_partition_insyncreplicascount", "In-sync replicas of a partition.", "topic", "partition")
	partitionBelowMin      = desc("kafka_cluster_partition_underminisr", "1 where a partition has fewer in-sync replicas than min.insync.replicas.", "topic", "partition")
	partitionAtMin         = desc("kafka_cluster_partition_atminisr", "1 where a partition has just min.insync.replicas in-sync replicas.", "topic", "partition")
	partitionStableLag     = desc("kafka_cluster_partition_laststableoffsetlag", "Records at a partition's end that open transactions hide from readers of committed ones.", "topic", "partition")
	partitionReplicasCount = desc("kafka_cluster_partition_replicascount", "Replicas of a partition.", "topic", "partition")
	markersUndelivered     = desc("kafka_coordinator_transaction_transactionmarkerchannelmanager_unknowndestinationqueuesize", "Transactions that are decided and whose markers could not be written yet.")
	lateTransactions       = desc("kafka_server_replicamanager_partitionswithlatetransactionscount", "Partitions with a transaction that is open longer than any may be: it hangs.")
	producerIDCount        = desc("kafka_server_replicamanager_produceridcount", "Producers that the partitions remember.")
	groupsTotal            = desc("kafka_coordinator_group_groupmetadatamanager_numgroups", "Consumer groups coordinated here.")
	groupOffsets           = desc("kafka_coordinator_group_groupmetadatamanager_numoffsets", "Offsets that the groups coordinated here committed.")
	groupsInState          = map[string]*prometheus.Desc{
		"Stable":              desc("kafka_coordinator_group_groupmetadatamanager_numgroupsstable", "Consumer groups that are stable."),
		"PreparingRebalance":  desc("kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance", "Consumer groups that prepare a rebalance."),
		"CompletingRebalance": desc("kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance", "Consumer groups that complete a rebalance."),
		"Empty":               desc("kafka_coordinator_group_groupmetadatamanager_numgroupsempty", "Consumer groups without members."),
		"Dead":                desc("kafka_coordinator_group_groupmetadatamanager_numgroupsdead", "Consumer groups that are being removed."),
	}
)

// transactions is Klamm's own.
var transactions = desc("klamm_transactional_ids", "Transactional ids coordinated here, by the state of their transaction.", "state")

// groups is Klamm's own too.
var groups = desc("klamm_groups", "Groups coordinated here, by the protocol of their members and their state.", "type", "state")

// kafka_exporter's names.
var (
	brokers            = desc("kafka_brokers", "Brokers of the cluster.")
	brokerInfo         = desc("kafka_broker_info", "Always 1; the broker is in the labels.", "id", "address")
	topicPartitions    = desc("kafka_topic_partitions", "Partitions of a topic.", "topic")
	currentOffset      = desc("kafka_topic_partition_current_offset", "End of a partition: its high watermark.", "topic", "partition")
	oldestOffset       = desc("kafka_topic_partition_oldest_offset", "First offset of a partition.", "topic", "partition")
	inSyncReplica      = desc("kafka_topic_partition_in_sync_replica", "In-sync replicas of a partition.", "topic", "partition")
	partitionLeader    = desc("kafka_topic_partition_leader", "Broker that leads a partition.", "topic", "partition")
	leaderPreferred    = desc("kafka_topic_partition_leader_is_preferred", "1 where the preferred replica leads.", "topic", "partition")
	partitionReplicas  = desc("kafka_topic_partition_replicas", "Replicas of a partition.", "topic", "partition")
	partitionUnderRepl = desc("kafka_topic_partition_under_replicated_partition", "1 where a partition is under-replicated.", "topic", "partition")
	groupMembers       = desc("kafka_consumergroup_members", "Members of a consumer group.", "consumergroup")
	groupOffset        = desc("kafka_consumergroup_current_offset", "Offset that a consumer group committed.", "consumergroup", "topic", "partition")
	groupOffsetSum     = desc("kafka_consumergroup_current_offset_sum", "Sum over a topic of the offsets that a consumer group committed.", "consumergroup", "topic")
	groupLag           = desc("kafka_consumergroup_lag", "Records that a consumer group has still to read.", "consumergroup", "topic", "partition")
	groupLagSum        = desc("kafka_consumergroup_lag_sum", "Records that a consumer group has still to read in a topic.", "consumergroup", "topic")
)

func (s sender) broker(b Broker, partitions []Partition) {
	s.gauge(brokerState, 3)
	s.gauge(partitionCount, float64(len(partitions)+b.OfflinePartitions))
	s.gauge(leaderCount, float64(len(partitions)))
	s.gauge(offlineReplicas, float64(b.OfflinePartitions))
	s.logDirs(b.LogDirs)
	s.gauge(activeController, one(b.ActiveController))
	s.gauge(quorumLeader, float64(b.QuorumLeader))
	s.gauge(quorumEpoch, float64(b.QuorumEpoch))
	s.gauge(offlinePartitions, float64(b.OfflinePartitions))
	s.gauge(globalTopics, float64(b.Topics))
	s.gauge(globalPartitions, float64(len(partitions)+b.OfflinePartitions))
	s.gauge(activeBrokers, 1)
	s.gauge(fencedBrokers, 0)
	s.gauge(brokers, 1)
	s.gauge(brokerInfo, 1, strconv.Itoa(int(b.ID)), b.Address)
	under, below, at, imbalance := 0, 0, 0, 0
	for _, p := range partitions {
		under += count(p.InSync < p.Replicas)
		below += count(p.InSync < p.MinInSync)
		at += count(p.InSync == p.MinInSync)
		imbalance += count(p.Leader != p.Preferred)
	}
	s.gauge(underReplicated, float64(under))
	s.gauge(underMinISR, float64(below))
	s.gauge(atMinISR, float64(at))
	s.gauge(preferredImbalance, float64(imbalance))
	s.groupStates(b.Groups)
	for state, n := range b.Transactions {
		s.gauge(transactions, float64(n), state)
	}
	s.gauge(markersUndelivered, float64(b.Undelivered))
	s.gauge(lateTransactions, float64(b.LateTransactions))
	s.gauge(producerIDCount, float64(b.ProducerIDs))
}

func (s sender) logDirs(usable map[string]bool) {
	offline := 0
	for path, ok := range usable {
		offline += count(!ok)
		s.gauge(logDirOffline, one(!ok), path)
	}
	s.gauge(offlineLogDirs, float64(offline))
}

// groupStates sends a number for every state, so that a graph has no holes.
func (s sender) groupStates(kinds map[GroupKind]int) {
	all := 0
	for _, n := range kinds {
		all += n
	}
	for state, d := range groupsInState {
		s.gauge(d, float64(kinds[GroupKind{"classic", state}]))
		s.gauge(groups, float64(kinds[GroupKind{"classic", state}]), "classic", state)
	}
	for _, state := range []string{"Empty", "Assigning", "Reconciling", "Stable", "Dead"} {
		s.gauge(groups, float64(kinds[GroupKind{"consumer", state}]), "consumer", state)
	}
	s.gauge(groupsTotal, float64(all))
}

func (s sender) partition(p Partition) {
	topic, partition := p.Topic, strconv.Itoa(int(p.Partition))
	under := one(p.InSync < p.Replicas)
	for d, v := range map[*prometheus.Desc]float64{
		logSize: float64(p.Size), logSegments: float64(p.Segments), logStart: float64(p.LogStart), logEnd: float64(p.LogEnd),
		partitionBelowMin: one(p.InSync < p.MinInSync), partitionAtMin: one(p.InSync == p.MinInSync), partitionStableLag: float64(p.End - p.Stable),
		partitionUnder: under, partitionISR: float64(p.InSync), partitionReplicasCount: float64(p.Replicas),
		currentOffset: float64(p.End), oldestOffset: float64(p.LogStart), inSyncReplica: float64(p.InSync),
		partitionLeader: float64(p.Leader), leaderPreferred: one(p.Leader == p.Preferred),
		partitionReplicas: float64(p.Replicas), partitionUnderRepl: under,
	} {
		s.gauge(d, v, topic, partition)
	}
}

func (s sender) group(g Group) {
	s.gauge(groupMembers, float64(g.Members), g.Name)
	offsets, lags := map[string]int64{}, map[string]int64{}
	for _, o := range g.Offsets {
		partition := strconv.Itoa(int(o.Partition))
		s.gauge(groupOffset, float64(o.Offset), g.Name, o.Topic, partition)
		offsets[o.Topic] += o.Offset
		if o.Lag >= 0 {
			s.gauge(groupLag, float64(o.Lag), g.Name, o.Topic, partition)
			lags[o.Topic] += o.Lag
		}
	}
	for topic, sum := range offsets {
		s.untyped(groupOffsetSum, float64(sum), g.Name, topic)
	}
	for topic, sum := range lags {
		s.untyped(groupLagSum, float64(sum), g.Name, topic)
	}
}

func one(b bool) float64 { return float64(count(b)) }

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
