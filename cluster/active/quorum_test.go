package active

import "github.com/klamm-io/klamm/cluster/quorum"

var _ Quorum = (*quorum.Quorum)(nil)
