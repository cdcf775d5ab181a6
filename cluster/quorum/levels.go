package quorum

import (
	"fmt"
	"slices"

	"github.com/klamm-io/klamm/cluster/metadata"
)

// checkLevels says why a node must not take part in a cluster: that is at a level of a
// feature which the node cannot be at. What the node would decide, or do with what is
// decided, need not be right there. supported are the node's levels; nil checks nothing.
func checkLevels(img *metadata.Image, supported []metadata.FeatureRange) error {
	if supported == nil {
		return nil
	}
	for name, level := range img.Features() {
		at := slices.IndexFunc(supported, func(r metadata.FeatureRange) bool { return r.Name == name })
		switch {
		case at < 0:
			return fmt.Errorf("the cluster is at level %d of %s, which this version of Klamm does not know: "+
				"run the version that the cluster's other nodes run", level, name)
		case level < supported[at].Min || level > supported[at].Max:
			return fmt.Errorf("the cluster is at level %d of %s, this version of Klamm can be at %d to %d: "+
				"run the version that the cluster's other nodes run", level, name, supported[at].Min, supported[at].Max)
		}
	}
	return nil
}
