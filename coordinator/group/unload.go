package group

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/coordinator/step"
)

// Unload answers whoever waits, because another broker coordinates the groups
// from now on: clients look for it and ask again there. No step may follow.
func (c *Coordinator) Unload() step.Output {
	var out Output
	for _, g := range c.groups {
		for m := range g.each {
			m.dismiss("", kerr.NotCoordinator, &out)
		}
	}
	return out.Output
}
