package api

import (
	"sync/atomic"
	"time"

	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/protocol/node"
)

// Gate keeps clients waiting while a broker that has just started does not know the
// cluster's metadata yet: of a topic that was made since it stopped it would say that
// there is none, and some clients believe that.
type Gate struct {
	open   atomic.Bool
	opened chan struct{}
}

// NewGate returns a gate that is shut.
func NewGate() *Gate { return &Gate{opened: make(chan struct{})} }

// Open lets all clients in, for good. It is to be called by one goroutine.
func (g *Gate) Open() {
	if !g.open.Load() {
		g.open.Store(true)
		close(g.opened)
	}
}

// gatePatience is how long a request waits. After that the broker answers by what it
// knows.
const gatePatience = 5 * time.Second

// awaitGate waits, where there is a gate that is shut, until a client's request may be
// answered. Nodes are let in, and who only asks for versions.
func (h *Handler) awaitGate(r *listener.Request) {
	if h.gate == nil || h.gate.open.Load() || h.forControllers || r.Key == apiVersionsKey || r.Key == node.HelloKey || r.Key == saslHandshakeKey || h.ofNode(r) {
		return
	}
	timer := time.NewTimer(gatePatience)
	defer timer.Stop()
	began := time.Now()
	select {
	case <-h.gate.opened:
	case <-timer.C:
	case <-h.serving.Done():
	}
	r.Waited(time.Since(began))
}
