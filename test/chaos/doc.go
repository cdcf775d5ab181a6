// Package chaos treats brokers badly while clients use them: kill -9 under
// load, full disks, thousands of connections, damaged files. The processes, the
// signals and the clients are real.
//
// What happened is told to a history.Checker, which knows what a log may not do.
// What needs processes has the build tag chaos (make chaos).
//
// What is left to chance comes from a seed, which a failure prints:
//
//	CHAOS_SEED=17 go test -tags chaos -run TestKills ./test/chaos
//
// CHAOS_ROUNDS sets how often the broker is killed.
package chaos
