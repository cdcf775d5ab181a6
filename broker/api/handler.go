// Package api answers requests: one file an API, whose head says which versions
// it serves and how they differ. table.go lists them all.
//
// A [Handler] keeps no state of a client's but its fetch session. Handlers run
// on the connection's goroutine. Produce and the group APIs return before they
// have answered: their answer comes from whoever commits the last record, or
// completes the group's next step.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/broker/enlist"
	"github.com/klamm-io/klamm/broker/fetchsession"
	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/broker/metrics"
	"github.com/klamm-io/klamm/broker/quota"
	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/cluster/quorum"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/coordinator/shard"
	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/node"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/security/audit"
	"github.com/klamm-io/klamm/storage/log"
)

// Deps is what the handlers use.
type Deps struct {
	Config     *config.Broker
	Cluster    Cluster
	Quorum     *quorum.Quorum
	Controller *controller.Controller
	Partitions *replica.Set
	Sessions   *fetchsession.Cache
	Groups     *shard.Groups
	Txns       *shard.Txns
	Markers    Markers
	Throttle   Throttle // nil where nobody follows
	// NewProducerID returns an id that no producer of the cluster had.
	NewProducerID func() (int64, error)
	Authorizer    security.Authorizer
	Quotas        *quota.Clients // nil: nothing is measured
	Audit         *audit.Log     // nil: nothing is written
	Metrics       *metrics.Metrics
	Logger        *slog.Logger
	Dirs          []LogDir // in the order of log.dirs
	Relocations   Relocations

	// Of a node that is one of several.
	ClusterID   string
	Incarnation [16]byte         // of this process
	Gate        *Gate            // nil: clients are let in at once
	Departures  *Departures      // nil: there is no other node
	Active      ActiveController // nil where this node does not vote
	Voter       Voter            // the same
	// TxnCoordinators are those on other nodes, nil where this one is alone.
	TxnCoordinators *enlist.Coordinators
}

// Markers writes the markers of transactions.
type Markers interface {
	// WriteMarker writes a marker into one partition. done is called once, on any
	// goroutine, when it is committed or with why it is not.
	WriteMarker(m step.Marker, tp protocol.TopicPartition, done func(error))
}

// Throttle slows down the copying of replicas that an operator named (KIP-73).
type Throttle interface {
	// MayRead reports whether a follower may copy a partition from this broker now.
	MayRead(img *metadata.Image, tp protocol.TopicPartition, follower int32) bool
	// Read notes that it copied so many bytes.
	Read(img *metadata.Image, tp protocol.TopicPartition, follower int32, bytes int)
}

// LogDir is one folder of logs, open or not.
type LogDir struct {
	Path string
	Dir  *log.Dir // nil where it could not be opened
	// Cordoned reports whether it gets no new partitions.
	Cordoned func() bool
}

// Handler serves every API. It is safe for concurrent use.
type Handler struct {
	config     *config.Broker
	cluster    Cluster
	quorum     *quorum.Quorum
	controller *controller.Controller
	partitions *replica.Set
	sessions   *fetchsession.Cache // of consumers
	followers  *replica.Sessions
	groups     *shard.Groups
	txns       *shard.Txns
	markers    Markers
	throttle   Throttle
	newID      func() (int64, error)
	authorizer security.Authorizer
	quotas     *quota.Clients
	audit      *audit.Log
	metrics    *metrics.Metrics
	logger     *slog.Logger
	dirs       []LogDir

	relocations Relocations
	clusterID   string
	incarnation [16]byte
	gate        *Gate
	departures  *Departures
	active      ActiveController
	voter       Voter
	elsewhere   *enlist.Coordinators // of transactions, nil where this node is alone

	apis           map[int16]api // that are served
	forControllers bool          // it serves a listener of controllers

	serving context.Context // until Stop; no request outlives it that waits for another node
	stop    func()
}

// New returns a handler.
func New(d Deps) *Handler {
	serving, stop := context.WithCancel(context.Background())
	return &Handler{
		config: d.Config, cluster: d.Cluster, quorum: d.Quorum, controller: d.Controller, partitions: d.Partitions, sessions: d.Sessions, followers: replica.NewSessions(),
		groups: d.Groups, txns: d.Txns, markers: d.Markers, throttle: d.Throttle, newID: d.NewProducerID, authorizer: d.Authorizer, metrics: d.Metrics, logger: d.Logger, dirs: d.Dirs, relocations: d.Relocations,
		clusterID: d.ClusterID, incarnation: d.Incarnation, gate: d.Gate, departures: d.Departures, active: d.Active, voter: d.Voter, elsewhere: d.TxnCoordinators,
		quotas: d.Quotas, audit: d.Audit,
		apis: clientAPIs, serving: serving, stop: stop,
	}
}

// ForControllers returns the handler for the listeners of controllers, which stops
// with h.
func (h *Handler) ForControllers() *Handler {
	c := *h
	c.apis, c.forControllers = controllerAPIs, true
	return &c
}

// Stop lets every fetch that waits for records answer with what there is, and gives up
// what waits for the active controller.
func (h *Handler) Stop() { h.stop() }

// Overlaps reports whether requests of that API may be pending several at a time
// on one connection: produces may, so that one flush answers many.
func (h *Handler) Overlaps(key int16) bool { return key == produceKey }

// Handle serves one request.
func (h *Handler) Handle(r *listener.Request) {
	if r.Conn.SASL != nil && !h.admit(r) {
		return
	}
	a, known := h.apis[r.Key]
	switch {
	case !known:
		r.Hangup(fmt.Errorf("API %d (%s) is not served here: %w", r.Key, nameOf(r.Key), kerr.UnsupportedVersion))
	case r.Version < a.min || r.Version > a.max:
		h.refuseVersion(r, a)
	case !h.authorizer.Ready() && !h.ofNode(r) && !asksNobody(r.Key):
		r.Hangup(errNotReady) // so that the client asks elsewhere, or again
	default:
		h.awaitGate(r)
		h.meter(r)
		a.serve(h, r)
		h.tellDenials(r)
	}
}

var errNotReady = errors.New("who may do what is not known here yet")

// asksNobody reports whether an API is answered without asking the authorizer.
func asksNobody(key int16) bool {
	switch key {
	case apiVersionsKey, node.HelloKey, saslHandshakeKey, saslAuthenticateKey:
		return true
	}
	return false
}

// allowed asks the authorizer about the client of r.
func (h *Handler) allowed(r *listener.Request, op security.Operation, res security.Resource) bool {
	if h.ofNode(r) {
		return true // it looked at its client's rights
	}
	if !h.authorizer.Allowed(r.Conn.Principal, r.Conn.Host(), op, res) {
		h.noteDenial(r, op, res)
		return false
	}
	return true
}

// may is allowed for what is left out of an answer and not refused.
func (h *Handler) may(r *listener.Request, op security.Operation, res security.Resource) bool {
	return h.ofNode(r) || h.authorizer.Allowed(r.Conn.Principal, r.Conn.Host(), op, res)
}

// allowedSomewhere asks the authorizer whether the client of r may do op to any
// resource of a type.
func (h *Handler) allowedSomewhere(r *listener.Request, op security.Operation, kind security.ResourceType) bool {
	return h.ofNode(r) || h.authorizer.AllowedSomewhere(r.Conn.Principal, r.Conn.Host(), op, kind)
}

func (h *Handler) image() *metadata.Image { return h.cluster.Image() }

func (h *Handler) inputs() controller.Inputs {
	return controller.Inputs{NewTopicID: protocol.NewTopicID, Config: h.config}
}

func topicResource(name string) security.Resource {
	return security.Resource{Type: security.Topic, Name: name}
}

func groupResource(name string) security.Resource {
	return security.Resource{Type: security.Group, Name: name}
}

func txnResource(id string) security.Resource {
	return security.Resource{Type: security.TransactionalID, Name: id}
}

func errorCode(err error) int16 { return protocol.ErrorCode(err) }

func addressOf[T any](v T) *T { return &v }
