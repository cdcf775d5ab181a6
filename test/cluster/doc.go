// Package cluster treats clusters of three nodes badly while clients use them:
// leaders, coordinators and active controllers are killed and paused, disks are lost,
// old ones are brought back, all nodes are restarted. It measures how long clients
// wait, holds what they saw against what a log may not do, compares the replicas'
// files byte for byte, and reads what the command line says of the cluster's health.
//
// Apache's Java client and librdkafka are measured beside franz-go where their runtimes
// are.
//
// It has the build tag cluster (make test-cluster) and starts nodes of Klamm, or of
// Apache Kafka where KLAMM_CLUSTER_BROKER is apache: what is asked of Klamm must
// be right of Kafka too, except that Kafka may take longer.
//
// What clients see and what is on the disks has to be right always. Of times the
// shorter of two counts where the first is too long: the machine may have other work.
//
// What is left to chance comes from a seed, which a failure prints and
// CLUSTER_SEED sets.
package cluster
