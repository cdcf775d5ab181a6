// Package replicas compares a partition's log as the nodes of a cluster have it on
// their disks. Below the high watermark all replicas hold the same batches, byte
// for byte. Where logs are compacted each replica does so in its own time: there
// the records that are left must be the same, and of each key the last one must be
// there.
//
// The nodes must be stopped.
package replicas
