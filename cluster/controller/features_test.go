package controller

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// TestBegin: a new cluster is at the levels of the release that begins it, and
// one that has levels keeps them.
func TestBegin(t *testing.T) {
	c := newCluster(t) // of one node
	for _, f := range features {
		if level := c.img.Feature(f.Name); level != f.Max {
			t.Errorf("%s begins at level %d, not %d", f.Name, level, f.Max)
		}
	}
	c.apply(t, []metadata.Record{&metadata.FeatureLevelSet{Name: TransactionVersion, Level: 0}})
	again := (&Controller{}).RegisterAlone(c.img, metadata.Broker{ID: 1, Incarnation: [16]byte{1}}, c.in)
	if records := (&Controller{}).Begin(c.img); len(records) > 0 || len(again) != 1 {
		t.Errorf("levels begin again: %v, %v", records, again)
	}
}

// TestUpdateFeatures: what the transcripts of broker/api do not show.
func TestUpdateFeatures(t *testing.T) {
	for name, step := range map[string]struct {
		updates string // FEATURE=LEVEL[KIND], KIND is one of +, - for a safe downgrade and ! for an unsafe one
		levels  string // that change, or
		refused string // how the sentence ends
	}{
		"a level that all have":                 {updates: "group.version=1-", levels: ""},
		"lower":                                 {updates: "group.version=0-,transaction.version=1!", levels: "group.version=0 transaction.version=1"},
		"lower by mistake":                      {updates: "group.version=0+", refused: "without setting the upgrade type to either safe or unsafe downgrade."},
		"higher by mistake":                     {updates: "kept.version=1-", refused: "Can't downgrade to a newer version."},
		"a broker cannot be so high":            {updates: "kept.version=2+", refused: "Broker 2 only supports versions 0-1"},
		"a broker does not know it":             {updates: "new.version=1+", refused: "Broker 2 does not support this feature."},
		"nobody knows it, and nobody is to":     {updates: "other.version=0+", levels: ""},
		"klamm.version is never lower":          {updates: "klamm.version=0!", refused: "Local controller 1 only supports versions 1-1"},
		"one that is refused holds up the rest": {updates: "transaction.version=0-,kept.version=2+", refused: "Broker 2 only supports versions 0-1"},
	} {
		t.Run(name, func(t *testing.T) {
			kept := features
			defer func() { features = kept }()
			features = append(Features(), metadata.FeatureRange{Name: "kept.version", Max: 2}, metadata.FeatureRange{Name: "new.version", Max: 1})
			c := newCluster(t)
			c.apply(t, []metadata.Record{
				&metadata.BrokerRegistered{Broker: metadata.Broker{ID: 1, Epoch: 5, Features: features}},
				&metadata.BrokerRegistered{Broker: metadata.Broker{ID: 2, Epoch: 6, Features: append(kept[:len(kept):len(kept)], metadata.FeatureRange{Name: "kept.version", Max: 1})}},
				&metadata.FeatureLevelSet{Name: "kept.version"}, &metadata.FeatureLevelSet{Name: "new.version"},
			})
			before := maps.Collect(c.img.Features())
			records, resp := (&Controller{}).UpdateFeatures(c.img, updates(step.updates, true), c.in)
			if len(records) > 0 || (resp.ErrorCode != 0) != (step.refused != "") {
				t.Errorf("when only asked: %v, code %d", records, resp.ErrorCode)
			}
			records, resp = (&Controller{}).UpdateFeatures(c.img, updates(step.updates, false), c.in)
			c.apply(t, records)
			if (resp.ErrorMessage != nil) != (step.refused != "") || resp.ErrorMessage != nil && !strings.HasSuffix(*resp.ErrorMessage, step.refused) {
				t.Errorf("code %d, %v", resp.ErrorCode, resp.ErrorMessage)
			}
			if got := changedLevels(before, c.img); got != step.levels {
				t.Errorf("changed are %q, want %q", got, step.levels)
			}
		})
	}
}

func updates(list string, validateOnly bool) *kmsg.UpdateFeaturesRequest {
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.Version, req.ValidateOnly = 2, validateOnly
	for item := range strings.SplitSeq(list, ",") {
		name, level, _ := strings.Cut(item, "=")
		u := kmsg.UpdateFeaturesRequestFeatureUpdate{Feature: name, UpgradeType: int8(strings.IndexByte(" +-!", level[len(level)-1]))}
		if _, err := fmt.Sscan(level[:len(level)-1], &u.MaxVersionLevel); err != nil {
			panic(err)
		}
		req.FeatureUpdates = append(req.FeatureUpdates, u)
	}
	return req
}

func changedLevels(before map[string]int16, img *metadata.Image) string {
	var changed []string
	for _, f := range features {
		if level := img.Feature(f.Name); level != before[f.Name] {
			changed = append(changed, fmt.Sprintf("%s=%d", f.Name, level))
		}
	}
	return strings.Join(changed, " ")
}
