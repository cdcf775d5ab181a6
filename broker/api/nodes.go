package api

import (
	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/security"
)

// actsAs reports whether r came on a connection that the given node made, and not
// one on which a client says it is that node.
func (h *Handler) actsAs(r *listener.Request, node int32) bool {
	return r.Conn.Principal == security.Node(node)
}
