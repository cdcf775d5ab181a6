package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// TransactionVersion is the finalized level of transaction.version: each
// transaction has an epoch of its own, and the broker takes partitions into
// transactions by itself (KIP-890).
const TransactionVersion = 2

// features are the feature levels that are finalized, which clients go by
// (KIP-584). All are as high as this broker supports.
var features = []struct {
	name     string
	min, max int16
}{
	{"group.version", 0, 1}, // consumer groups of the new protocol (KIP-848)
	{"transaction.version", 0, TransactionVersion},
}

// FeatureRanges are the levels of each feature that this broker supports.
func FeatureRanges() []metadata.FeatureRange {
	var all []metadata.FeatureRange
	for _, f := range features {
		all = append(all, metadata.FeatureRange{Name: f.name, Min: f.min, Max: f.max})
	}
	return all
}

// addFeatures tells of the feature levels. Clients below version 4 do not take a
// level 0 for supported.
func addFeatures(resp *kmsg.ApiVersionsResponse) {
	for _, f := range features {
		supported := kmsg.NewApiVersionsResponseSupportedFeature()
		supported.Name, supported.MinVersion, supported.MaxVersion = f.name, f.min, f.max
		if f.min > 0 || resp.Version >= 4 {
			resp.SupportedFeatures = append(resp.SupportedFeatures, supported)
		}
		finalized := kmsg.NewApiVersionsResponseFinalizedFeature()
		finalized.Name, finalized.MinVersionLevel, finalized.MaxVersionLevel = f.name, f.max, f.max
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, finalized)
	}
	resp.FinalizedFeaturesEpoch = 0
}
