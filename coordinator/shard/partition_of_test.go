package shard

import "testing"

// What Kafka 4.3.1 computes, so that what it wrote is found where it wrote it.
func TestPartitionOfIsKafkas(t *testing.T) {
	for id, want := range map[string]int32{
		"": 0, "board": 10, // hashes that are not negative
		"a-group-x": 4, "zzzzzz": 14, "driver-location-group": 48,
		"polygenelubricants": 0, // the hash that has no positive twin
		"klamm🚀":             1, // two units of UTF-16
	} {
		if got := partitionOf(id, 50); got != want {
			t.Errorf("partitionOf(%q, 50) = %d, want %d", id, got, want)
		}
	}
}
