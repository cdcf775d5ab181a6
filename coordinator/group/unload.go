package group

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/coordinator/step"
)

// Unload answers whoever waits, because this broker coordinates the groups no
// more: clients look for who does and ask again there. No step may follow.
func (c *Coordinator) Unload() step.Output {
	var out Output
	for _, g := range c.groups {
		for m := range g.each {
			m.dismiss("", kerr.NotCoordinator, &out)
		}
	}
	return out.Output
}
