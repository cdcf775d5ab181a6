// Package assign decides which member of a consumer group reads which partition.
//
// Assignors are pure functions: the members with what each of them has now, and
// the topics with how many partitions each has, give the target assignment. All
// partitions of a topic that anyone subscribes to go to exactly one member that
// subscribes to it. The results do not depend on the order of maps.
//
// As in Kafka, racks are handed to the assignors and none of them looks at them: a
// change of racks makes a new assignment, not another one.
package assign
