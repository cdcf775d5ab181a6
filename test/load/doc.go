// Package load puts load on any broker that speaks the Kafka protocol, with
// requests that are encoded beforehand, so that almost all the work is the
// broker's. The measurements of test/bench and the failures of test/chaos share
// it.
package load
