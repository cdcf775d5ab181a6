// Package toolbox runs Apache's command-line tools, all in one Java machine, as to
// start one for each costs more than what most of them do. It needs Java and what
// package brokers downloads.
package toolbox
