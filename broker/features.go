package broker

import "github.com/klamm-io/klamm/cluster/controller"

// FeatureLevels are the feature levels that a cluster of this version has (KIP-584).
func FeatureLevels() map[string]int16 {
	levels := map[string]int16{}
	for _, f := range controller.Features() {
		levels[f.Name] = f.Max
	}
	return levels
}
