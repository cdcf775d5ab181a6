// Package compat holds the broker against the clients and tools that people
// use, and against Apache Kafka itself. Its tests have the build tag compat,
// as they need more than Go: each client that a missing runtime leaves out is
// skipped with a line that begins "left out", and fails where CI=true.
//
// KLAMM_COMPAT_BROKER=apache runs the tests of clients and tools against
// Apache Kafka, to tell what a test asks too much of from what Klamm does wrong.
package compat
