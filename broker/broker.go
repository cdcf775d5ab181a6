package broker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/klamm-io/klamm/broker/api"
	"github.com/klamm-io/klamm/broker/enlist"
	"github.com/klamm-io/klamm/broker/fetchsession"
	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/broker/marker"
	"github.com/klamm-io/klamm/broker/metrics"
	"github.com/klamm-io/klamm/broker/quota"
	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/format"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/cluster/quorum"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/coordinator/group"
	"github.com/klamm-io/klamm/coordinator/shard"
	"github.com/klamm-io/klamm/coordinator/txn"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/security/audit"
	"github.com/klamm-io/klamm/security/oauth"
	"github.com/klamm-io/klamm/security/transport"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

// sessionIdle is how long a fetch session must be unused before another may take
// its place.
const sessionIdle = 2 * time.Minute

// Deps is what a broker uses.
type Deps struct {
	FS      disk.FS
	Logger  *slog.Logger
	Version string // of this program
}

// Broker is one node.
type Broker struct {
	config     *config.Broker
	logger     *slog.Logger
	folders    []*folder
	quorum     *quorum.Quorum // nil where this node does not vote
	view       quorum.View    // of the cluster's metadata
	node       *clusterNode   // nil for a cluster of one that needs no others
	partitions *replica.Set
	groups     *shard.Groups
	txns       *shard.Txns
	markers    *marker.Delivery     // of the transactions that txns decide
	enlist     *enlist.Coordinators // those of transactions on other nodes, nil where this is alone
	producers  *producerIDs
	cleaner    *log.Cleaner
	assigning  sync.Mutex // held while it changes which replicas there are, or which log they have
	relocated  *relocations
	seen       *groupCluster // what the groups were last told of the cluster; of the quorum's turn
	handler    *api.Handler
	authorizer security.Authorizer
	access     *security.Standard // the authorizer, nil where everyone may do everything
	quotas     *quota.Clients
	audit      *audit.Log // nil for none
	metrics    *metrics.Metrics
	listeners  []*listener.Listener
	first      []security.ScramCredential   // with which the cluster begins, or began
	tokenKeys  []*oauth.Keys                // by which tokens of clients are verified
	secured    map[string]*transport.Source // by what the listeners of protocol SSL are secured, by name
	http       net.Listener                 // nil for none
	ready      atomic.Bool
}

// New takes hold of the data folders, recovers what is in them, and binds the
// listeners. After an error nothing is held.
func New(c *config.Broker, deps Deps) (*Broker, error) {
	b := &Broker{config: c, logger: deps.Logger, partitions: replica.NewSet()}
	b.quotas = quota.New(quota.Windows{Num: c.QuotaWindows, Size: c.QuotaWindow})
	b.metrics = metrics.New(&state{b}, deps.Version)
	b.relocated = newRelocations(b)
	if err := b.open(deps); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// open is New's work. After an error what it took hold of is to be closed.
func (b *Broker) open(deps Deps) (err error) {
	if err := b.openCertificates(); err != nil {
		return err
	}
	if err := b.openFolders(deps.FS); err != nil {
		return err
	}
	if b.first, err = format.Credentials(deps.FS, b.config); err != nil {
		return err
	}
	b.openAccess()
	if err := b.openAudit(deps); err != nil {
		return err
	}
	if b.config.Roles.Set {
		return b.openNode(deps)
	}
	return b.openAlone(deps)
}

// openAlone takes up a cluster of one, whose broker and controller know of each other.
func (b *Broker) openAlone(deps Deps) (err error) {
	if b.quorum, err = quorum.Open(b.quorumConfig(), quorum.Deps{Dir: b.metadataFolder().dir, FS: deps.FS, Logger: deps.Logger}); err != nil {
		return fmt.Errorf("read the cluster's metadata: %w", err)
	}
	b.view = b.quorum
	b.openCoordinators(deps, b.allocateProducerIDs)
	b.cordon(b.view.Image())
	if err := b.openLogs(); err != nil {
		return err
	}
	b.followACLs()
	b.followQuotas()
	b.quorum.Observe(b.metadataChanged)
	d := b.handlerDeps(deps)
	d.Cluster, d.Quorum = ownDecisions{b.quorum}, b.quorum
	b.handler = api.New(d)
	if err := b.bind(); err != nil {
		return err
	}
	return b.register()
}

// openCoordinators makes the coordinators of a broker, which lead nothing yet, and
// the one that compacts its logs.
func (b *Broker) openCoordinators(deps Deps, moreIDs func(context.Context) (first, end int64, err error)) {
	b.producers = &producerIDs{more: moreIDs}
	b.groups = shard.New(b.groupsConfig(), deps.Logger)
	b.markers = b.newDelivery(deps)
	if b.node != nil {
		b.enlist = enlist.New(b.node.sendToBroker(enlistLane))
	}
	b.txns = shard.NewTxns(b.txnsConfig(), shard.TxnDeps{Markers: b.markers, NewProducerID: b.producers.take, Logger: deps.Logger})
	b.sizeCoordinators(b.view.Image().Topics())
	b.seen = &groupCluster{image: b.view.Image(), config: b.config}
	b.groups.ClusterChanged(b.seen, nil, false)
	b.cleaner = b.newCleaner()
}

// handlerDeps is what the handlers use at every broker.
func (b *Broker) handlerDeps(deps Deps) api.Deps {
	return api.Deps{
		Config: b.config, Controller: &controller.Controller{}, Partitions: b.partitions,
		Sessions: fetchsession.New(b.config.MaxIncrementalFetchSessionSlots, sessionIdle),
		Groups:   b.groups, Txns: b.txns, TxnCoordinators: b.enlist, Markers: markers{b}, NewProducerID: b.producers.take, Authorizer: b.authorizer, Quotas: b.quotas, Audit: b.audit, Metrics: b.metrics, Logger: deps.Logger, Dirs: b.logDirs(), Relocations: b.relocated,
	}
}

func (b *Broker) quorumConfig() quorum.Config {
	return quorum.Config{NodeID: b.config.NodeID, ClusterID: b.metadataFolder().dir.ClusterID(), Features: controller.Features(), Resumes: b.holdPartitions()}
}

// sizeCoordinators tells the coordinators of topics that are new here how many
// partitions theirs have: as many as they were created with, whatever the keys say.
func (b *Broker) sizeCoordinators(created iter.Seq[*metadata.Topic]) {
	for t := range created {
		switch t.Name {
		case offsetsTopic:
			b.groups.SetPartitions(int32(len(t.Partitions)))
		case txnTopic:
			b.txns.SetPartitions(int32(len(t.Partitions)))
		}
	}
}

func (b *Broker) groupsConfig() shard.Config {
	c := b.config
	return shard.Config{
		Config: group.Config{
			MinSessionTimeout: c.GroupMinSessionTimeout, MaxSessionTimeout: c.GroupMaxSessionTimeout,
			InitialRebalanceDelay: c.GroupInitialRebalanceDelay, MaxSize: int(c.GroupMaxSize),
			OffsetMetadataMax: int(c.OffsetMetadataMaxBytes), OffsetsRetention: c.OffsetsRetention, Consumer: consumerConfig(c.ConsumerGroups),
		},
		Partitions: c.OffsetsTopicPartitions, ExpiryInterval: c.OffsetsRetentionCheckInterval,
	}
}

func (b *Broker) txnsConfig() shard.TxnConfig {
	c := b.config
	return shard.TxnConfig{
		Config: txn.Config{
			MaxTimeout: c.TransactionMaxTimeout, AbortInterval: c.TransactionAbortInterval, Expiration: c.TransactionalIDExpiration,
			Version:          func() int16 { return b.view.Image().Feature(controller.TransactionVersion) },
			NewestConnection: listener.NewestConnection,
		},
		Partitions: c.TransactionTopicPartitions, ExpiryInterval: c.TransactionalIDExpiryInterval,
	}
}

// bind takes the ports, so that what is advertised is known.
func (b *Broker) bind() error {
	c := b.config
	budget := listener.NewBudget(c.RequestMemoryBytes)
	b.metrics.RequestMemory(budget.Used)
	if c.Roles.Broker || !c.Roles.Set {
		if err := b.listen(c.Listeners, b.handler, budget, b.newPace()); err != nil {
			return err
		}
	}
	if c.Roles.Controller && c.Roles.Set {
		if err := b.listen(c.ControllerListeners, b.handler.ForControllers(), budget, nil); err != nil {
			return err
		}
	}
	if c.HTTPListener == "" {
		return nil
	}
	bound, err := net.Listen("tcp", c.HTTPListener)
	if err != nil {
		return fmt.Errorf("serve metrics and health on %s: %w; name another address with klamm.http.listener, or leave it empty", c.HTTPListener, err)
	}
	b.http = bound
	return nil
}

// listen binds listeners that one handler serves.
func (b *Broker) listen(endpoints []config.Endpoint, handler *api.Handler, budget *listener.Budget, paced listener.Pace) error {
	c := b.config
	for _, e := range endpoints {
		l, err := listener.Listen(listener.Config{
			Name: e.Listener, Addr: e.Address(), MaxRequestBytes: c.SocketRequestMaxBytes, IdleTimeout: c.ConnectionsMaxIdle,
			MaxConnections: c.MaxConnections, MaxConnectionsPerIP: c.MaxConnectionsPerIP, MaxConnectionsOf: c.MaxConnectionsOf, SendBufferBytes: max(0, c.SocketSendBufferBytes),
		}, listener.Deps{Handler: handler, Budget: budget, Logger: b.logger, Metrics: b.metrics.Listener(e.Listener), TLS: b.tlsOf(e.Listener), SASL: b.saslOf(e.Listener), Pace: paced, Known: b.known})
		if err != nil {
			return err
		}
		b.listeners = append(b.listeners, l)
	}
	return nil
}

// Addr is the address that the first listener is bound to.
func (b *Broker) Addr() net.Addr { return b.listeners[0].Addr() }

// HTTPAddr is where metrics and health are served, nil for nowhere.
func (b *Broker) HTTPAddr() net.Addr {
	if b.http == nil {
		return nil
	}
	return b.http.Addr()
}

// Run serves until ctx ends, or until something fails that the broker cannot do
// without. Then it stops in order: clients first, the disk last.
func (b *Broker) Run(ctx context.Context) error {
	// What clients need must outlive them, so it ends with another context.
	below, stopBelow := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBelow()
	inner, innerCtx := errgroup.WithContext(below)
	for _, f := range b.folders {
		if f.dir != nil {
			inner.Go(func() error { return f.dir.Run(innerCtx) })
		}
	}
	for _, keys := range b.tokenKeys {
		inner.Go(func() error { return keys.Run(innerCtx) })
	}
	for _, s := range b.secured {
		inner.Go(func() error { return s.Run(innerCtx) })
	}
	if b.audit.On() {
		inner.Go(func() error { return b.audit.Run(innerCtx) })
	}
	if b.quorum != nil {
		inner.Go(func() error { return b.quorum.Run(innerCtx) })
	}
	if b.groups != nil {
		b.runCoordinators(innerCtx, inner)
	}
	if b.node != nil {
		b.node.run(innerCtx, inner)
	}

	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	clients, clientsCtx := errgroup.WithContext(serving)
	for _, l := range b.listeners {
		clients.Go(func() error { return l.Run(clientsCtx) })
	}
	clients.Go(func() error { return b.serveHTTP(clientsCtx) })
	clients.Go(func() error {
		defer stopServing()
		err := waitFor(ctx, clientsCtx, innerCtx)
		if err == nil && b.node != nil {
			err = b.node.retire()
		}
		return err
	})
	b.ready.Store(true)
	stopping := context.AfterFunc(clientsCtx, func() {
		b.ready.Store(false)
		b.handler.Stop()
		if b.groups != nil {
			b.groups.ResignAll() // or who waits for members of its group holds up the stop
		}
	})
	defer stopping()
	err := clients.Wait()
	stopBelow()
	err = errors.Join(err, inner.Wait())
	if b.node != nil {
		b.node.ended()
	}
	return errors.Join(err, b.close())
}

// runCoordinators runs what a broker has that a node without one has not.
func (b *Broker) runCoordinators(ctx context.Context, g *errgroup.Group) {
	if b.config.CleanerEnable {
		g.Go(func() error { return b.cleaner.Run(ctx) })
	}
	g.Go(func() error { return b.groups.Run(ctx) })
	g.Go(func() error { return b.txns.Run(ctx) })
	g.Go(func() error { return b.markers.Run(ctx) })
	if b.enlist != nil {
		g.Go(func() error { return b.enlist.Run(ctx) })
	}
	g.Go(func() error { return b.partitions.Run(ctx) })
	g.Go(func() error { return b.relocated.run(ctx) })
}

// waitFor returns when the broker is to stop, when a listener has failed, or when
// another part of it has, which is an error.
func waitFor(stop, listeners, inner context.Context) error {
	select {
	case <-stop.Done():
		return nil
	case <-listeners.Done():
		return nil
	case <-inner.Done():
		return errors.New("a part of the broker ended")
	}
}

func (b *Broker) serveHTTP(ctx context.Context) error {
	if b.http == nil {
		return nil
	}
	server := &http.Server{Handler: metrics.Handler(b.metrics, b.health), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() {
		limit, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(limit) != nil {
			server.Close()
		}
	})
	defer stop()
	if err := server.Serve(b.http); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics and health: %w", err)
	}
	return nil
}

// health says why clients are not served as they should be.
func (b *Broker) health() error {
	if !b.ready.Load() {
		return errors.New("the broker starts or stops")
	}
	if n := b.partitions.Offline(); n > 0 {
		return fmt.Errorf("%d partitions are offline because of their disk", n)
	}
	return nil
}

// close lets go of everything, in the opposite order of New.
func (b *Broker) close() error {
	var err error
	for _, l := range b.listeners {
		if e := l.Close(); !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	if b.http != nil {
		if e := b.http.Close(); !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	if b.quorum != nil {
		err = errors.Join(err, b.quorum.Close())
	}
	for _, f := range b.folders {
		if f.dir != nil {
			err = errors.Join(err, f.dir.Close())
		}
	}
	return err
}
