package broker

import (
	"slices"

	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/security"
)

// openAccess makes the authorizer, which knows of no ACL yet.
func (b *Broker) openAccess() {
	b.authorizer = security.AllowAll{}
	if c := b.config.AccessControl; c != nil {
		b.access = security.NewStandard(*c)
		b.authorizer = b.access
	}
}

// followACLs gives the authorizer the ACLs that are known, and every change of them
// before it is answered. The view must not run yet.
func (b *Broker) followACLs() {
	if b.access == nil {
		return
	}
	img := b.view.Observe(func(img *metadata.Image, d *metadata.Delta) {
		b.access.Change(d.ACLsAdded, d.ACLsRemoved)
		b.openWhenKnown(img)
	})
	b.access.Change(slices.Collect(img.ACLs()), nil)
	b.openWhenKnown(img)
}

// openWhenKnown lets the authorizer decide once this node has the metadata and not
// only its beginning, by which it would let in who was denied since. A broker has
// it when it sees itself registered, a node that only controls when anything was agreed on:
// until it leads it has little to answer, and then it has all.
func (b *Broker) openWhenKnown(img *metadata.Image) {
	if b.access.Ready() {
		return
	}
	if b.node != nil && b.config.Roles.Broker {
		if me, found := img.Broker(b.config.NodeID); !found || me.Incarnation != b.node.incarnation {
			return
		}
	} else if img.Feature(controller.KlammVersion) == 0 {
		return
	}
	b.access.Open()
}
