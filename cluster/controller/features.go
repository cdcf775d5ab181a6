package controller

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// Names of features (KIP-584). Each has a level that the whole cluster is at, whatever
// its nodes could do: a cluster whose nodes are replaced one by one does nothing that
// the older ones do not understand, until an operator raises the level.
const (
	// MetadataVersion says which Kafka the cluster is like. Its levels mean Kafka's
	// formats, of which Klamm has none, so there is but the newest.
	MetadataVersion = "metadata.version"
	// EligibleLeaderReplicas is KIP-966, without which this controller does not decide.
	EligibleLeaderReplicas = "eligible.leader.replicas.version"
	// GroupVersion 1 serves consumer groups of the new protocol (KIP-848).
	GroupVersion = "group.version"
	// TransactionVersion 1 writes transactions in a format that can be added to; 2 gives
	// each transaction an epoch of its own, and takes partitions into transactions
	// without being asked (KIP-890).
	TransactionVersion = "transaction.version"
	// KlammVersion stands for what only nodes of Klamm tell each other: records of the
	// metadata, and the requests of package node. What changes one of them in a way that
	// older nodes do not understand needs a new level, and is not done below it.
	KlammVersion = "klamm.version"
)

// features are the levels that this release can be at.
var features = []metadata.FeatureRange{
	{Name: EligibleLeaderReplicas, Min: 1, Max: 1},
	{Name: GroupVersion, Min: 0, Max: 1},
	{Name: KlammVersion, Min: 1, Max: 1},
	{Name: MetadataVersion, Min: 30, Max: 30}, // 4.3-IV0
	{Name: TransactionVersion, Min: 0, Max: 2},
}

// Features returns the levels that this release can be at, sorted by name.
func Features() []metadata.FeatureRange { return slices.Clone(features) }

// Begin records the levels of a new cluster, which are those of the node that begins it,
// and its first passwords. A cluster that has levels keeps what it has.
func (c *Controller) Begin(img *metadata.Image) (records []metadata.Record) {
	if img.Feature(KlammVersion) > 0 {
		return nil
	}
	for _, f := range features {
		records = append(records, &metadata.FeatureLevelSet{Name: f.Name, Level: f.Max})
	}
	for _, password := range c.First {
		records = append(records, &metadata.ScramCredentialSet{Credential: password})
	}
	return records
}

// UpdateFeatures raises or lowers the levels of features, all that are asked for or
// none.
func (*Controller) UpdateFeatures(img *metadata.Image, req *kmsg.UpdateFeaturesRequest, in Inputs) (records []metadata.Record, _ *kmsg.UpdateFeaturesResponse) {
	resp := req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	for i := range req.FeatureUpdates {
		f := &req.FeatureUpdates[i]
		if why := notUpdatable(img, f, req.Version, in); why != "" {
			resp.ErrorCode, resp.ErrorMessage = answer(refuse(kerr.InvalidUpdateVersion,
				"The update failed for all features since the following feature had an error: Invalid update version %d for feature %s. %s",
				f.MaxVersionLevel, f.Feature, why))
			resp.Results = nil
			return nil, resp
		}
		if f.MaxVersionLevel != img.Feature(f.Feature) {
			records = append(records, &metadata.FeatureLevelSet{Name: f.Feature, Level: f.MaxVersionLevel})
		}
		told := kmsg.NewUpdateFeaturesResponseResult()
		told.Feature, told.ErrorMessage = f.Feature, kmsg.StringPtr("NONE")
		resp.Results = append(resp.Results, told)
	}
	if req.ValidateOnly {
		records = nil
	}
	return records, resp
}

// Ways to update a feature. Before version 1 of the request there was one, whatever the
// request says of downgrades.
const (
	upgrade         = 1
	safeDowngrade   = 2
	unsafeDowngrade = 3
)

// notUpdatable says in a sentence why a level cannot be had, nothing where it can.
func notUpdatable(img *metadata.Image, f *kmsg.UpdateFeaturesRequestFeatureUpdate, version int16, in Inputs) string {
	kind, is := f.UpgradeType, img.Feature(f.Feature)
	if version < 1 {
		kind = upgrade
	}
	switch {
	case kind != upgrade && kind != safeDowngrade && kind != unsafeDowngrade:
		return "The controller does not support the given upgrade type."
	case f.MaxVersionLevel < 0:
		return "A feature version cannot be less than 0."
	}
	if why := unsupported(fmt.Sprintf("Local controller %d", in.Config.NodeID), features, f); why != "" {
		return why
	}
	for b := range img.Brokers() {
		if why := unsupported(fmt.Sprintf("Broker %d", b.ID), b.Features, f); why != "" {
			return why
		}
	}
	switch {
	case f.MaxVersionLevel < is && kind == upgrade:
		return "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade."
	case f.MaxVersionLevel > is && kind != upgrade:
		return "Can't downgrade to a newer version."
	}
	return ""
}

// unsupported says why a node cannot be at a level, nothing where it can.
func unsupported(node string, ranges []metadata.FeatureRange, f *kmsg.UpdateFeaturesRequestFeatureUpdate) string {
	var has metadata.FeatureRange // what a node does not know it has at level 0
	if at := slices.IndexFunc(ranges, func(r metadata.FeatureRange) bool { return r.Name == f.Feature }); at >= 0 {
		has = ranges[at]
	}
	switch {
	case f.MaxVersionLevel >= has.Min && f.MaxVersionLevel <= has.Max:
		return ""
	case has.Max == 0:
		return node + " does not support this feature."
	}
	return fmt.Sprintf("%s only supports versions %d-%d", node, has.Min, has.Max)
}
