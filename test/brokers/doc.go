// Package brokers starts brokers as processes of their own, for tests and
// measurements: Klamm, built from this tree, and Apache Kafka, from its Maven
// jars. A broker can be killed the hard way and started again on its data.
//
// What is built or downloaded goes to .cache/compat at the top of the tree.
// Nothing else on the machine is touched: ports are free ones on 127.0.0.1 and
// data lies in the folder that the caller names.
package brokers
