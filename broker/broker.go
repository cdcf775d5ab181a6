package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/klamm-io/klamm/broker/api"
	"github.com/klamm-io/klamm/broker/fetchsession"
	"github.com/klamm-io/klamm/broker/listener"
	"github.com/klamm-io/klamm/broker/metrics"
	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/quorum"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/coordinator/group"
	"github.com/klamm-io/klamm/coordinator/shard"
	"github.com/klamm-io/klamm/coordinator/txn"
	"github.com/klamm-io/klamm/security"
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
	quorum     *quorum.Quorum
	partitions *replica.Set
	groups     *shard.Groups
	txns       *shard.Txns
	producers  *producerIDs
	cleaner    *log.Cleaner
	seen       *groupCluster // what the groups were last told of the cluster; of the quorum's turn
	handler    *api.Handler
	metrics    *metrics.Metrics
	listeners  []*listener.Listener
	http       net.Listener // nil for none
	ready      atomic.Bool
}

// New takes hold of the data folders, recovers what is in them, and binds the
// listeners. After an error nothing is held.
func New(c *config.Broker, deps Deps) (*Broker, error) {
	b := &Broker{config: c, logger: deps.Logger, partitions: replica.NewSet()}
	b.metrics = metrics.New(&state{b}, deps.Version)
	if err := b.open(deps); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// open is New's work. After an error what it took hold of is to be closed.
func (b *Broker) open(deps Deps) (err error) {
	if err := b.openFolders(deps.FS); err != nil {
		return err
	}
	if b.quorum, err = quorum.Open(b.quorumConfig(), quorum.Deps{Dir: b.folders[0].dir, FS: deps.FS, Logger: deps.Logger}); err != nil {
		return fmt.Errorf("read the cluster's metadata: %w", err)
	}
	b.producers = &producerIDs{quorum: b.quorum}
	b.groups = shard.New(b.groupsConfig(), deps.Logger)
	b.txns = shard.NewTxns(b.txnsConfig(), shard.TxnDeps{Markers: markers{b}, NewProducerID: b.producers.take, Logger: deps.Logger})
	b.seen = &groupCluster{image: b.quorum.Image(), config: b.config}
	b.groups.ClusterChanged(b.seen, nil, false)
	if err := b.openLogs(); err != nil {
		return err
	}
	b.cleaner = b.newCleaner()
	b.quorum.Observe(b.metadataChanged)
	b.handler = api.New(api.Deps{
		Config: b.config, Cluster: ownDecisions{b.quorum}, Quorum: b.quorum, Controller: &controller.Controller{}, Partitions: b.partitions,
		Sessions: fetchsession.New(b.config.MaxIncrementalFetchSessionSlots, sessionIdle),
		Groups:   b.groups, Txns: b.txns, Markers: markers{b}, NewProducerID: b.producers.take, Authorizer: security.AllowAll{}, Metrics: b.metrics, Logger: deps.Logger, Dirs: b.logDirs(),
	})
	if err := b.bind(); err != nil {
		return err
	}
	return b.register()
}

func (b *Broker) quorumConfig() quorum.Config {
	return quorum.Config{NodeID: b.config.NodeID, ClusterID: b.folders[0].dir.ClusterID(), Resumes: b.holdPartitions()}
}

func (b *Broker) groupsConfig() shard.Config {
	c := b.config
	partitions := c.OffsetsTopicPartitions
	if t, found := b.quorum.Image().Topic(offsetsTopic); found {
		partitions = int32(len(t.Partitions)) // as it was created, whatever the key says now
	}
	return shard.Config{
		Config: group.Config{
			MinSessionTimeout: c.GroupMinSessionTimeout, MaxSessionTimeout: c.GroupMaxSessionTimeout,
			InitialRebalanceDelay: c.GroupInitialRebalanceDelay, MaxSize: int(c.GroupMaxSize),
			OffsetMetadataMax: int(c.OffsetMetadataMaxBytes), OffsetsRetention: c.OffsetsRetention, Consumer: consumerConfig(c.ConsumerGroups),
		},
		Partitions: partitions, ExpiryInterval: c.OffsetsRetentionCheckInterval,
	}
}

func (b *Broker) txnsConfig() shard.TxnConfig {
	c := b.config
	partitions := c.TransactionTopicPartitions
	if t, found := b.quorum.Image().Topic(txnTopic); found {
		partitions = int32(len(t.Partitions)) // as it was created, whatever the key says now
	}
	return shard.TxnConfig{
		Config: txn.Config{
			MaxTimeout: c.TransactionMaxTimeout, AbortInterval: c.TransactionAbortInterval, Expiration: c.TransactionalIDExpiration,
			Version: api.TransactionVersion,
		},
		Partitions: partitions, ExpiryInterval: c.TransactionalIDExpiryInterval,
	}
}

// bind takes the ports, so that what is advertised is known.
func (b *Broker) bind() error {
	c := b.config
	budget := listener.NewBudget(c.RequestMemoryBytes)
	b.metrics.RequestMemory(budget.Used)
	for _, e := range c.Listeners {
		l, err := listener.Listen(listener.Config{
			Name: e.Listener, Addr: e.Address(), MaxRequestBytes: c.SocketRequestMaxBytes, IdleTimeout: c.ConnectionsMaxIdle,
			MaxConnections: c.MaxConnections, MaxConnectionsPerIP: c.MaxConnectionsPerIP,
		}, listener.Deps{Handler: b.handler, Budget: budget, Logger: b.logger, Metrics: b.metrics.Listener(e.Listener)})
		if err != nil {
			return err
		}
		b.listeners = append(b.listeners, l)
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
	if b.config.CleanerEnable {
		inner.Go(func() error { return b.cleaner.Run(innerCtx) })
	}
	inner.Go(func() error { return b.quorum.Run(innerCtx) })
	inner.Go(func() error { return b.groups.Run(innerCtx) })
	inner.Go(func() error { return b.txns.Run(innerCtx) })
	inner.Go(func() error { return b.partitions.Run(innerCtx) })

	clients, clientsCtx := errgroup.WithContext(ctx)
	for _, l := range b.listeners {
		clients.Go(func() error { return l.Run(clientsCtx) })
	}
	clients.Go(func() error { return b.serveHTTP(clientsCtx) })
	clients.Go(func() error { return waitFor(clientsCtx, innerCtx) })
	b.ready.Store(true)
	stopping := context.AfterFunc(clientsCtx, func() {
		b.ready.Store(false)
		b.handler.Stop()
		b.groups.ResignAll() // or who waits for members of its group holds up the stop
	})
	defer stopping()
	err := clients.Wait()
	stopBelow()
	return errors.Join(err, inner.Wait(), b.close())
}

// waitFor returns when either context ends.
func waitFor(a, b context.Context) error {
	select {
	case <-a.Done():
		return nil
	case <-b.Done():
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
