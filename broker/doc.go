// Package broker puts one node together: it opens the folders, takes up the
// cluster's metadata, opens the logs, lets the coordinators read theirs, and then
// serves clients; and stops all of it in the opposite order.
//
// A node is a cluster of its own (process.roles is not set), or one of several: then
// cluster_node.go connects it to the others, and assign.go makes its replicas what the
// metadata says.
//
// [New] does everything that can fail; [Broker.Run] serves until its context
// ends. What changes in the metadata reaches the logs and the replicas in
// topics.go, on the goroutine of whoever proposed the change, before the change
// is answered: so a topic that was created can be written to.
package broker
