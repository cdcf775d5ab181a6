// Package metadata holds what the cluster knows about itself: its topics and
// their partitions, its brokers, the configs set at run time, the producer ids
// handed out, who may do what. An [Image] is that knowledge at one moment; a [Record] is one step
// from an image to the next, as it stands in the metadata log.
//
// Images are immutable and share structure: [Image.Apply] costs as much as what
// changes, however many topics there are. Whatever an image hands out (topics,
// slices, maps) belongs to it and must not be modified. All of it may be used
// from any goroutine; the package holds no state and starts no goroutine.
package metadata
