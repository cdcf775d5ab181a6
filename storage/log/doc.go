// Package log keeps records: a [Log] is one partition's log on disk, a [Dir] is
// the folder that holds many of them.
//
// A log is a list of segments, each a file of record batches with two sparse
// indexes beside it, all in Kafka's formats (docs/formats/log-files.md). The
// last segment is active: it alone is appended to.
//
// Invariants, at every moment and after a stop at any moment:
//
//   - Start() <= Flushed() <= End(). Offsets only grow.
//   - A segment's file holds whole batches up to the size that readers see;
//     whatever a crash leaves behind that is cut off before anyone reads it.
//   - Nothing below Flushed() is ever cut off or changed, but for what
//     compaction leaves out: the newest record of each key stays as it is.
//   - An index may lack entries but has no wrong ones that go unnoticed: a
//     reader checks the batch that an entry leads to.
//
// Locks. A log's flushMu is held by the one flush that runs; mu serialises appends and everything that changes the list of
// segments; readers take no lock of the log: they load the list, the end and
// the sizes, which are atomic. Before these comes compactMu, which compaction and
// retention hold, so that one of them at a time takes segments out. Below mu come
// snapshotMu, an index's and a file handle's own mutex, never two of one kind at
// once.
//
// Goroutines. Each log runs at most one flush at a time, on a goroutine of its
// own that ends when nothing is left to flush (flush.go). [Dir.Run] owns the
// periodic work: checkpoints, retention, flushes by time, the scrub, and the
// removal of deleted files. [Cleaner.Run] owns those that compact
// (compaction.go), and [Log.replace] tells how what they write takes its place
// (swap.go).
package log
