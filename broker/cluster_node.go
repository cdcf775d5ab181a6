package broker

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/klamm-io/klamm/broker/api"
	"github.com/klamm-io/klamm/broker/control"
	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/cluster/active"
	"github.com/klamm-io/klamm/cluster/controller"
	"github.com/klamm-io/klamm/cluster/format"
	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/cluster/peer"
	"github.com/klamm-io/klamm/cluster/quorum"
	"github.com/klamm-io/klamm/protocol"
	internode "github.com/klamm-io/klamm/protocol/node"
	"github.com/klamm-io/klamm/storage/disk"
)

// clusterNode is what a node has besides where it is one of several: connections to
// the others, its part in the quorum, and its replicas' part in replication.
//
// Its fields are set before it runs. What is of the applier belongs to the goroutine
// that applies the metadata, see [Broker.metadataChanged].
type clusterNode struct {
	broker      *Broker
	incarnation [16]byte // of this process
	peers       *peer.Peers
	active      *active.Active        // nil where this node does not vote
	control     *control.Conversation // nil where it is no broker
	replicator  *replica.Replicator   // the same
	quorum      *quorum.Quorum        // nil where it does not vote
	observer    *quorum.Observer      // nil where it does
	participant *quorum.Participant   // the view of a controller where voters may change; nil where they do not

	begun        bool                                         // of the applier: the metadata shows this process's registration
	gone         map[protocol.TopicPartition]protocol.TopicID // of the applier, before: replicas that this broker has no more
	coordinators coordinators
	lost         *lostReplicas
	throttles    *throttles
	gate         *api.Gate
	departures   *api.Departures
	loading      sync.WaitGroup // coordinators that read their logs
}

// observeLane is for following the metadata, whose answers wait until there is news:
// messages of raft must not wait behind them.
const observeLane peer.Lane = "observe"

// isrLane is for proposals of an ISR, which wait for a decision of the quorum while
// heartbeats must not.
const isrLane peer.Lane = "isr"

// enlistLane is for questions to coordinators of transactions, which producers wait
// for, while the answer to markers waits for the slowest of their partitions.
const enlistLane peer.Lane = "enlist"

func (n *clusterNode) me() int32 { return n.broker.config.NodeID }

// broke hears that a connection to another node ended.
func (n *clusterNode) broke(id int32, lane peer.Lane, refused bool) {
	n.departures.HungUp(id)
	switch lane {
	case peer.LaneQuorum:
		if refused && n.quorum != nil {
			n.quorum.Unreachable(id)
		}
	case peer.LaneWatch:
		if n.active != nil {
			n.active.Suspect(id, refused)
		}
	}
}

// reached hears that a connection to another node was made.
func (n *clusterNode) reached(id int32, lane peer.Lane) {
	n.departures.Reached(id)
	if lane == peer.LaneWatch && n.active != nil {
		n.active.Reached(id)
	}
}

// sendToVoter hands a message of the quorum to another of its nodes.
func (n *clusterNode) sendToVoter(to int32, at []metadata.Endpoint, message []byte) {
	if len(at) == 0 {
		at = n.listensAt(to)
	}
	if len(at) == 0 {
		return // it comes again when the address is known
	}
	addr := net.JoinHostPort(at[0].Host, strconv.Itoa(int(at[0].Port)))
	n.peers.Post(peer.Target{Node: to, Addr: addr, Lane: peer.LaneQuorum}, &internode.ConsensusRequest{Message: message})
}

// controllerAddr is where a node's controller listens.
func (n *clusterNode) controllerAddr(id int32) (string, error) {
	if at := n.listensAt(id); len(at) > 0 {
		return net.JoinHostPort(at[0].Host, strconv.Itoa(int(at[0].Port))), nil
	}
	return "", fmt.Errorf("no address of controller %d is known; name it in controller.quorum.voters: %w", id, kerr.BrokerNotAvailable)
}

// listensAt is where a node's controller listens, as far as is agreed on or configured.
func (n *clusterNode) listensAt(id int32) []metadata.Endpoint {
	for _, v := range n.voters() {
		if v.ID == id && len(v.Endpoints) > 0 {
			return v.Endpoints
		}
	}
	for _, v := range n.broker.config.Voters {
		if v.ID == id {
			return []metadata.Endpoint{{Listener: n.broker.config.ControllerListenerNames[0], Host: v.Host, Port: v.Port}}
		}
	}
	return nil
}

// voters are those that are agreed on, as far as this node knows.
func (n *clusterNode) voters() []metadata.Voter {
	switch {
	case n.participant != nil:
		return n.participant.Voters()
	case n.quorum != nil:
		return n.quorum.Voters()
	}
	return n.observer.Voters()
}

// newObserver follows the metadata by asking those voters first.
func (n *clusterNode) newObserver(voters []metadata.Voter, deps Deps) *quorum.Observer {
	c := n.broker.config
	wait := c.QuorumFetchTimeout / 4 // the rest is for the answer to come
	return quorum.NewObserver(quorum.ObserverConfig{
		NodeID: n.me(), ClusterID: n.broker.clusterID(), DirectoryID: n.broker.metadataFolder().dir.ID(), Features: controller.Features(), Voters: voters, Wait: wait, Timeout: c.QuorumFetchTimeout - wait,
	}, quorum.ObserverDeps{Logger: deps.Logger, Read: n.readMetadata})
}

// brokerAddr is where brokers reach another one.
func (n *clusterNode) brokerAddr(id int32) (string, error) {
	b, found := n.broker.view.Image().Broker(id)
	if !found {
		return "", fmt.Errorf("broker %d is not registered: %w", id, kerr.BrokerNotAvailable)
	}
	for _, e := range b.Endpoints {
		if e.Listener == n.broker.config.InterBrokerListener {
			return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))), nil
		}
	}
	return "", fmt.Errorf("broker %d has no listener %s, by which brokers reach each other (inter.broker.listener.name): %w",
		id, n.broker.config.InterBrokerListener, kerr.BrokerNotAvailable)
}

// sendToController asks a node where its controller listens.
func (n *clusterNode) sendToController(ctx context.Context, id int32, req kmsg.Request) (kmsg.Response, error) {
	addr, err := n.controllerAddr(id)
	if err != nil {
		return nil, err
	}
	lane := peer.LaneControl
	if req.Key() == int16(kmsg.AlterPartition) {
		lane = isrLane
	}
	return n.peers.Request(ctx, peer.Target{Node: id, Addr: addr, Lane: lane}, req)
}

// sendToBroker asks another broker.
func (n *clusterNode) sendToBroker(lane peer.Lane) func(context.Context, int32, kmsg.Request) (kmsg.Response, error) {
	return func(ctx context.Context, id int32, req kmsg.Request) (kmsg.Response, error) {
		addr, err := n.brokerAddr(id)
		if err != nil {
			return nil, err
		}
		return n.peers.Request(ctx, peer.Target{Node: id, Addr: addr, Lane: lane}, req)
	}
}

// sendFetch asks another broker for what it leads.
func (n *clusterNode) sendFetch(ctx context.Context, id int32, req kmsg.Request, memory *[]byte) (kmsg.Response, error) {
	addr, err := n.brokerAddr(id)
	if err != nil {
		return nil, err
	}
	return n.peers.RequestInto(ctx, peer.Target{Node: id, Addr: addr, Lane: peer.LaneReplication}, req, memory)
}

// eligible reports whether a broker may be in an ISR.
func (n *clusterNode) eligible(id int32, epoch int64) bool {
	b, found := n.broker.view.Image().Broker(id)
	return found && b.Active() && b.Epoch == epoch
}

// openNode takes up this node's part in a cluster.
func (b *Broker) openNode(deps Deps) error {
	n := &clusterNode{
		broker: b, incarnation: protocol.NewTopicID(), lost: newLostReplicas(), throttles: newThrottles(b.config.NodeID), gate: api.NewGate(), departures: api.NewDepartures(),
		coordinators: coordinators{epochs: map[protocol.TopicPartition]int32{}},
		gone:         map[protocol.TopicPartition]protocol.TopicID{},
	}
	b.node = n
	n.peers = peer.New(peer.Config{
		NodeID: n.me(), ClusterID: b.clusterID(), Incarnation: n.incarnation, ClientID: b.clientID(),
		DialTimeout: b.config.QuorumRequestTimeout, RequestTimeout: requestTimeout,
	}, peer.Deps{Dial: b.dialLane(), Logger: deps.Logger, Reached: n.reached, Broken: n.broke})
	if err := n.joinQuorum(deps); err != nil {
		return err
	}
	d := api.Deps{Config: b.config, Controller: &controller.Controller{}, Authorizer: b.authorizer, Metrics: b.metrics, Logger: deps.Logger}
	if b.config.Roles.Broker {
		b.openCoordinators(deps, func(ctx context.Context) (int64, int64, error) { return n.control.TakeProducerIDs(ctx) })
		d = b.handlerDeps(deps)
	}
	d.Throttle, d.Gate, d.Departures = n.throttles, n.gate, n.departures
	d.Cluster, d.Quorum, d.ClusterID, d.Incarnation = decisions{n}, n.quorum, b.clusterID(), n.incarnation
	if n.quorum != nil {
		d.Active, d.Voter = n.active, n.quorum
	}
	b.handler = api.New(d)
	if err := b.bind(); err != nil {
		return err
	}
	if b.config.Roles.Broker {
		n.takePart(deps)
	}
	b.followACLs()
	b.followQuotas()
	b.view.Observe(b.metadataChanged)
	return nil
}

// requestTimeout is how long another node may take for an answer. A fetch waits
// there for records, and no node lets another wait longer.
const requestTimeout = 10 * time.Second

// joinQuorum opens this node's part of the metadata: a vote, or only a view.
func (n *clusterNode) joinQuorum(deps Deps) (err error) {
	b := n.broker
	voters, err := n.firstVoters(deps.FS)
	if err != nil {
		return err
	}
	if !b.config.Roles.Controller {
		n.observer = n.newObserver(voters, deps)
		b.view = n.observer
		return nil
	}
	c := b.quorumConfig()
	c.Voters, c.ElectionTimeout = voters, b.config.QuorumElectionTimeout
	if n.quorum, err = quorum.Open(c, quorum.Deps{Dir: b.metadataFolder().dir, FS: deps.FS, Logger: deps.Logger, Send: n.sendToVoter}); err != nil {
		return fmt.Errorf("read the cluster's metadata: %w", err)
	}
	b.quorum, b.view = n.quorum, n.quorum
	if len(b.config.Voters) == 0 {
		n.participant = quorum.NewParticipant(n.quorum, voters, func(told []metadata.Voter) *quorum.Observer { return n.newObserver(told, deps) })
		b.view = n.participant
	}
	n.active = active.New(active.Config{
		Node: n.me(), SessionTimeout: b.config.BrokerSessionTimeout, FirstContact: firstContact, Rebalance: b.config.AutoLeaderRebalance,
		ImbalanceCheck: b.config.LeaderImbalanceCheck, ImbalancePercent: b.config.LeaderImbalancePercent, First: b.first,
	}, active.Deps{
		Quorum: n.quorum, Inputs: func() controller.Inputs { return controller.Inputs{NewTopicID: protocol.NewTopicID, Config: b.config} },
		Watch: n.watch, Logger: deps.Logger, Now: time.Now,
	})
	return nil
}

// readMetadata asks a node that votes for what was decided.
func (n *clusterNode) readMetadata(ctx context.Context, id int32, req *internode.ReadMetadataRequest) (*internode.ReadMetadataResponse, error) {
	addr, err := n.controllerAddr(id)
	if err != nil {
		return nil, err
	}
	resp, err := n.peers.Request(ctx, peer.Target{Node: id, Addr: addr, Lane: observeLane}, req)
	if err != nil {
		return nil, err
	}
	answer, is := resp.(*internode.ReadMetadataResponse)
	if !is {
		return nil, fmt.Errorf("node %d answered with %T: %w", id, resp, kerr.UnknownServerError)
	}
	return answer, nil
}

// firstContact is how long a new controller waits to hear of the brokers that vote:
// they know at once that it was elected, and one that hangs is missed by clients
// since before.
const firstContact = 600 * time.Millisecond

// takePart makes what a broker needs of the others: the conversation with the active
// controller, and replication.
func (n *clusterNode) takePart(deps Deps) {
	n.broker.partitions.OnFailed(func(p *replica.Partition) { n.lost.lost(replicaID{p.TopicID, p.Partition}) })
	n.broker.partitions.OnAiling(n.heal)
	b, c := n.broker, n.broker.config
	n.control = control.New(control.Config{
		Node: n.me(), ClusterID: b.clusterID(), Incarnation: n.incarnation, Rack: c.Rack, Listeners: b.advertised(), Features: controller.Features(),
		LogDirs: b.logDirIDs(), Cordoned: b.cordonedDirs, PreviousBrokerEpoch: b.cleanBrokerEpoch(), HeartbeatInterval: c.BrokerHeartbeatInterval, SessionTimeout: c.BrokerSessionTimeout,
	}, control.Deps{View: b.view, Local: n.local(), Send: n.sendToController, Logger: deps.Logger})
	n.replicator = replica.NewReplicator(replica.ReplicatorConfig{
		Node: n.me(), LagMax: c.ReplicaLagMax, ProposalBackoff: proposalBackoff, FetchWait: c.ReplicaFetchWait, FetchBackoff: c.ReplicaFetchBackoff,
		MinBytes: c.ReplicaFetchMinBytes, MaxBytes: c.ReplicaFetchResponseMaxBytes, PartitionMaxBytes: c.ReplicaFetchMaxBytes,
	}, replica.ReplicatorDeps{
		Send: n.sendToBroker(peer.LaneReplication), SendInto: n.sendFetch, Propose: n.control.ProposeISR, Eligible: n.eligible, BrokerEpoch: n.control.BrokerEpoch,
		Throttled: func(tp protocol.TopicPartition) time.Duration { return n.throttles.copyIn(b.view.Image(), tp) },
		Received:  func(tp protocol.TopicPartition, bytes int) { n.throttles.copied(b.view.Image(), tp, bytes) },
		Logger:    deps.Logger,
	})
}

// proposalBackoff is how long a leader waits before it asks for an ISR again.
const proposalBackoff = 100 * time.Millisecond

// local is the active controller where it may be this node.
func (n *clusterNode) local() control.LocalController {
	if n.active == nil {
		return nil
	}
	return n.active
}

// watch keeps a connection to each of the nodes, to hear when one ends. Those that want
// TLS from a node without keys are missed when their session ends.
func (n *clusterNode) watch(targets []active.Target) {
	all := make([]peer.Target, 0, len(targets))
	for _, t := range targets {
		if t.Endpoint.SecurityProtocol != 0 && n.broker.secretsFor(t.Endpoint.Listener) == "" {
			continue
		}
		all = append(all, peer.Target{Node: t.Node, Addr: t.Addr(), Lane: peer.LaneWatch})
	}
	n.peers.Watch(all)
}

// firstVoters are those with which a new cluster begins, or whom a node asks that
// does not know who votes. Of a server that is only known by its address the id is
// negative.
func (n *clusterNode) firstVoters(fs disk.FS) ([]metadata.Voter, error) {
	all, err := format.Voters(fs, n.broker.config)
	if err != nil || len(all) > 0 {
		return all, err
	}
	for i, server := range n.broker.config.BootstrapServers {
		at := metadata.Endpoint{Listener: n.broker.config.ControllerListenerNames[0], Host: server.Host, Port: server.Port}
		all = append(all, metadata.Voter{ID: int32(-2 - i), Endpoints: []metadata.Endpoint{at}})
	}
	return all, nil
}

// metadataChanged takes up what the cluster decided.
func (n *clusterNode) metadataChanged(img *metadata.Image, d *metadata.Delta) {
	n.departures.MetadataChanged(img, d.BrokersChanged)
	if n.control == nil {
		return
	}
	b := n.broker
	b.sizeCoordinators(slices.Values(d.TopicsCreated))
	n.assigned(img, d)
	if n.begun {
		n.gate.Open()
		b.configsChanged(img, d)
	}
	b.forgetTopics(d.TopicsDeleted)
	b.tellGroups(img, d)
	b.markers.MetadataChanged(img)
	b.enlist.MetadataChanged(img)
	n.control.MetadataChanged(img, d)
}

// decisions are those of the active controller, wherever it is.
type decisions struct{ *clusterNode }

func (d decisions) Image() *metadata.Image { return d.broker.view.Image() }

// Applied is the offset up to which this node knows the metadata.
func (d decisions) Applied() int64 { return d.broker.view.Applied() }

// Decides reports whether this node leads the quorum.
func (d decisions) Decides() bool {
	if d.quorum == nil {
		return false
	}
	id, _ := d.quorum.Leader()
	return id == d.me()
}

func (d decisions) Propose(ctx context.Context, decide func(*metadata.Image) ([]metadata.Record, error)) (*metadata.Image, error) {
	if d.quorum == nil {
		return nil, fmt.Errorf("this node only observes the metadata: %w", kerr.NotController)
	}
	return d.quorum.Propose(ctx, decide)
}

func (d decisions) Ask(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	if d.control == nil {
		return nil, fmt.Errorf("this node is no broker, and not the active controller: %w", kerr.NotController)
	}
	return d.control.Ask(ctx, req)
}

// run runs what a node has besides, until ctx ends.
func (n *clusterNode) run(ctx context.Context, g *errgroup.Group) {
	g.Go(func() error { return n.peers.Run(ctx) })
	if n.observer != nil {
		g.Go(func() error { return n.observer.Run(ctx) })
	}
	if n.participant != nil {
		g.Go(func() error { return n.participant.Run(ctx) })
	}
	if n.active != nil {
		g.Go(func() error { return n.active.Run(ctx) })
	}
	if n.control != nil {
		g.Go(func() error { return n.control.Run(ctx) })
		g.Go(func() error { return n.replicator.Run(ctx) })
		g.Go(func() error { return n.tellLost(ctx) })
	}
}

// ended waits for what may still read a log, and leaves the broker's epoch in the
// folders, for the next start.
func (n *clusterNode) ended() {
	n.loading.Wait()
	if n.control == nil {
		return
	}
	for _, f := range n.broker.folders {
		if f.dir != nil {
			f.dir.SetBrokerEpoch(n.control.BrokerEpoch())
		}
	}
}

// retire hands all that this broker leads to others before it stops, as far as they
// take it.
func (n *clusterNode) retire() error {
	if n.control == nil || !n.broker.config.ControlledShutdown {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownPatience)
	defer cancel()
	go n.cancelAlone(ctx, cancel)
	if err := n.control.ShutDown(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// cancelAlone ends ctx where there is nobody that could agree to anything.
func (n *clusterNode) cancelAlone(ctx context.Context, cancel context.CancelFunc) {
	for ctx.Err() == nil {
		id, epoch := n.broker.view.Leader()
		change, done := ctx, context.CancelFunc(func() {})
		if id < 0 {
			change, done = context.WithTimeout(ctx, leaderless)
		}
		_, _, err := n.broker.view.AwaitLeaderChange(change, id, epoch)
		done()
		if err != nil {
			cancel()
		}
	}
}

// leaderless is how long a node that stops waits for the others to elect an active
// controller. After that most of them have stopped too.
const leaderless = 2 * time.Second

// shutdownPatience bounds a controlled shutdown. A broker that nobody can take over
// from stops all the same.
const shutdownPatience = 20 * time.Second
