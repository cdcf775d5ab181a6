package quorum

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol/record"
)

// replica drives raft for this node. All that is not a channel belongs to the
// goroutine of run.
type replica struct {
	quorum  *Quorum
	journal *journal
	node    *raft.RawNode
	storage *storage
	applier *applier
	send    func(to int32, at []metadata.Endpoint, message []byte)

	id        uint64           // of this node in raft
	birth     *birth           // until this node has taken part
	alone     atomic.Bool      // this node votes and nobody else; set by the goroutine of run, or before it
	named     bool             // the decision that began the cluster was committed
	old       bool             // the folder is one of some time ago
	asking    int              // ticks until this node asks for its vote again
	led       leadership       // as it was published last
	delivered uint64           // index of the last entry that the applier was given
	heard     map[uint64]heard // when voters were heard of, since this node leads
	placing   *proposal        // was handed to raft and has no index yet
	silent    int              // ticks since the leader was heard of
	gone      leadership       // a leader whose process is gone
	goneFor   int              // ticks for which nothing of it counts
	standIn   int              // ticks until this node stands for the lead, 0 for not

	inbox     chan *message
	joins     chan metadata.Voter // nodes that ask this one, which leads, for a vote
	proposals chan handed
	snapshots chan *state          // that a snapshot was written of
	lostLead  chan int32           // a node that does not answer any more
	asks      chan chan raftStatus // whose askers have room for the answer
	again     chan struct{}        // has room for one word that the disk may take writes again
	quit      chan struct{}
	running   sync.WaitGroup
}

// handed is a proposal for raft; taken receives whether raft took it.
type handed struct {
	*proposal
	taken chan error
}

// entryOverhead is about what an entry takes in the log besides its decision.
const entryOverhead = record.HeaderSize + 10

const (
	ticksPerElection = 10
	ticksPerAsk      = 3 // for a vote
	inboxSize        = 256
	maxMessageBytes  = 1 << 20
	maxInflight      = 64
)

func newReplica(q *Quorum, deps Deps, s *state) (*replica, error) {
	r := &replica{
		quorum: q, journal: q.journal, applier: newApplier(), send: deps.Send, led: leadership{id: -1}, delivered: s.index,
		inbox: make(chan *message, inboxSize), joins: make(chan metadata.Voter, 1), proposals: make(chan handed), snapshots: make(chan *state, 1),
		lostLead: make(chan int32, 1), asks: make(chan chan raftStatus), again: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	var err error
	if r.storage, err = openStorage(q.journal, q.state.Load); err != nil {
		return nil, err
	}
	r.named = len(votersOf(s.image, nil)) > 0
	if err := r.identify(deps.Dir.ID()); err != nil {
		return nil, err
	}
	return r, r.boot()
}

// boot gives raft what is on the disk, as after a start.
func (r *replica) boot() (err error) {
	r.node, err = raft.NewRawNode(&raft.Config{
		ID: r.id, Storage: r.storage, Applied: r.delivered,
		ElectionTick: ticksPerElection, HeartbeatTick: 1, PreVote: true, CheckQuorum: true,
		MaxSizePerMsg: maxMessageBytes, MaxInflightMsgs: maxInflight, DisableProposalForwarding: true, StepDownOnRemoval: true,
		Logger: raftLogger{r.quorum.logger},
	})
	if err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	changes := false // others may vote besides, once it is known that the log's end was decided
	if err := r.storage.eachBehind(r.delivered, func(e *raftpb.Entry) { changes = changes || changesVoters(e) }); err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	r.alone.Store(!changes && r.votesAlone())
	return nil
}

// start begins the goroutines.
func (r *replica) start() {
	r.running.Go(r.run)
	r.running.Go(func() { r.quorum.apply(r.applier) })
	ctx, cancel := context.WithCancel(context.Background())
	r.running.Go(func() { r.quorum.claim(ctx) })
	r.running.Go(func() { r.quorum.admitAll(ctx) })
	r.running.Go(func() {
		<-r.quit
		cancel()
	})
}

// stop ends them, and keeps what makes the next start quick.
func (r *replica) stop() error {
	close(r.quit)
	r.running.Wait()
	r.quorum.giveUp(errStopping)
	if !r.quorum.works() || !r.storage.tookPart() {
		return nil // the disk is not what it was, or nothing was said of it: nothing more is
	}
	return r.storage.saveHard(r.storage.hard)
}

// run drives raft until quit.
func (r *replica) run() {
	defer r.applier.stop()
	if r.quorum.alone() {
		r.campaign() // nobody else is waited for
	}
	tick := time.NewTicker(r.quorum.config.ElectionTimeout / ticksPerElection)
	defer tick.Stop()
	for {
		if err := r.work(); err != nil {
			r.quorum.fail(err)
			r.refuse()
			return
		}
		select {
		case <-r.quit:
			return
		case <-tick.C:
			r.tick()
		case m := <-r.inbox:
			r.step(m)
		case h := <-r.proposals:
			r.take(h)
		case s := <-r.snapshots:
			r.storage.compact(s)
		case node := <-r.lostLead:
			r.doubt(node)
		case <-r.again:
			r.standAgain()
		case ask := <-r.asks:
			ask <- raftStatus{r.node.Status(), maps.Clone(r.heard)}
		}
	}
}

// refuse takes no more part, until quit.
func (r *replica) refuse() {
	for {
		select {
		case <-r.quit:
			return
		case h := <-r.proposals:
			h.taken <- r.quorum.broken()
		case <-r.inbox:
		case <-r.snapshots:
		case <-r.lostLead:
		case <-r.again:
		case ask := <-r.asks:
			ask <- raftStatus{}
		}
	}
}

// step takes what another node said, and what else has arrived meanwhile: then one
// flush serves all.
func (r *replica) step(m *message) {
	for {
		r.stepOne(m)
		select {
		case m = <-r.inbox:
		default:
			return
		}
	}
}

func (r *replica) stepOne(m *message) {
	switch m.kind {
	case raftMessage:
		r.stepRaft(m.raft)
	case newMessage:
		r.meet(m.from, m.all)
	case existsMessage:
		r.hearOfCluster()
	case joinMessage:
		if r.led.id != r.quorum.config.NodeID {
			return
		}
		select {
		case r.joins <- m.voter:
		default: // it asks again
		}
	}
}

func (r *replica) stepRaft(m *raftpb.Message) {
	if r.birth != nil && !r.meantForBirth(m) {
		return
	}
	if m.GetTo() != r.id || r.isGone(m) {
		return // for a voter that this node was or is to be, or too late
	}
	if r.isOld(m) {
		r.old = true
		return
	}
	// A message that raft does not expect is a late one.
	_ = r.node.Step(m)
	r.hear(m.GetFrom())
	if m.GetFrom() == r.node.BasicStatus().Lead {
		r.silent = 0
	}
}

// take hands raft a proposal.
func (r *replica) take(h handed) {
	h.taken <- r.offer(h.proposal)
}

func (r *replica) offer(p *proposal) error {
	status := r.node.BasicStatus()
	if status.RaftState != raft.StateLeader || status.HardState.GetTerm() != p.term {
		return errLeadLost
	}
	if err := r.quorum.track(p); err != nil {
		return err
	}
	if err := r.proposeToRaft(p); err != nil {
		r.quorum.giveUp(fmt.Errorf("propose: %w: %w", err, kerr.NotController))
		return <-p.outcome
	}
	r.placing = p
	return nil
}

func (r *replica) proposeToRaft(p *proposal) error {
	if p.voters == nil {
		return r.node.Propose(p.decision)
	}
	return r.node.ProposeConfChange(p.voters)
}

// work does all that raft asks for.
func (r *replica) work() error {
	if r.old {
		r.old = false
		if err := r.startOver(); err != nil {
			return err
		}
	}
	for r.node.HasReady() {
		rd := r.node.Ready()
		if err := r.persist(&rd); err != nil {
			if !errors.Is(err, errNotWritten) {
				return err
			}
			// Nothing of it is on the disk or was sent, so it is as if this node had
			// stopped before: raft starts anew from what is there.
			if err := r.begin(err); err != nil {
				return err
			}
			continue
		}
		if !raft.IsEmptyHardState(rd.HardState) || len(rd.Entries) > 0 || !raft.IsEmptySnap(rd.Snapshot) {
			r.quorum.writable()
		}
		r.notePlace(&rd)
		r.sendAll(rd.Messages)
		r.noteLeader(rd.SoftState)
		if err := r.commitAll(rd.CommittedEntries); err != nil {
			return err
		}
		r.node.Advance(rd)
	}
	return nil
}

// begin starts raft anew after what it wanted written could not be. A node that
// is alone stands for the lead again with the next tick.
func (r *replica) begin(why error) error {
	r.placing = nil
	r.led.id = -1
	r.quorum.refused(r.led, fmt.Errorf("write to the metadata log: %w: %w", why, kerr.KafkaStorageError))
	if r.quorum.alone() {
		r.standIn = 1
	}
	return r.boot()
}

// persist makes durable what raft must not forget.
func (r *replica) persist(rd *raft.Ready) error {
	if !raft.IsEmptySnap(rd.Snapshot) {
		if err := r.install(rd.Snapshot); err != nil {
			return err
		}
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		if rd.HardState.GetVote() != r.storage.hard.GetVote() {
			r.giveTime()
		}
		if err := r.storage.setHard(rd.HardState); err != nil {
			return err
		}
		r.birth = nil // this node has a part in the cluster's first election
	}
	// Votes are counted among the voters that were agreed on last: a node that forgot
	// that would count among others.
	if slices.ContainsFunc(rd.CommittedEntries, changesVoters) {
		if err := r.storage.saveHard(r.storage.hard); err != nil {
			return err
		}
	}
	return r.storage.append(rd.Entries)
}

func changesVoters(e *raftpb.Entry) bool { return e.GetType() == raftpb.EntryConfChangeV2 }

// notePlace tells the pending proposal the index that raft gave it: it is the
// last of the entries that are new.
func (r *replica) notePlace(rd *raft.Ready) {
	if r.placing == nil || len(rd.Entries) == 0 {
		return
	}
	last := rd.Entries[len(rd.Entries)-1]
	switch p := r.placing; {
	case last.GetTerm() != p.term:
	case p.voters != nil && !changesVoters(last): // raft put nothing in its place
		r.quorum.giveUp(fmt.Errorf("the voters are being changed: %w", kerr.RequestTimedOut))
	default:
		r.quorum.placed(last.GetIndex())
	}
	r.placing = nil
}

func (r *replica) noteLeader(s *raft.SoftState) {
	now := leadership{id: r.led.id, term: r.node.BasicStatus().HardState.GetTerm()}
	if s != nil {
		now.id = nodeOf(s.Lead)
	}
	if now != r.led {
		r.led, r.heard = now, map[uint64]heard{}
		r.quorum.lead(now, errLeadLost)
	}
}

func (r *replica) sendAll(messages []*raftpb.Message) {
	for _, m := range messages {
		encoded, err := proto.Marshal(m)
		if err != nil {
			continue
		}
		r.post(nodeOf(m.GetTo()), raftMessage, encoded)
		if m.GetType() == raftpb.MsgSnap {
			// Whether it arrives, raft learns from what the other answers next.
			r.node.ReportSnapshot(m.GetTo(), raft.SnapshotFinish)
		}
	}
}

// commitAll hands committed entries to the applier.
func (r *replica) commitAll(entries []*raftpb.Entry) error {
	all := make([]committed, 0, len(entries))
	for _, e := range entries {
		decision, err := decisionOf(e)
		if err != nil {
			return fmt.Errorf("entry %d: %w", e.GetIndex(), err)
		}
		if err := r.changeVoters(e, decision); err != nil {
			return fmt.Errorf("entry %d: %w", e.GetIndex(), err)
		}
		all = append(all, committed{index: e.GetIndex(), term: e.GetTerm(), decision: decision, size: len(decision) + entryOverhead})
	}
	if len(all) > 0 {
		r.deliver(all...)
	}
	return nil
}

// changeVoters lets an entry that is committed say who votes from here on.
func (r *replica) changeVoters(e *raftpb.Entry, decision []byte) error {
	if changesVoters(e) {
		var change raftpb.ConfChangeV2
		if err := proto.Unmarshal(e.GetData(), &change); err != nil {
			return err
		}
		r.storage.voters, r.storage.changed = r.node.ApplyConfChange(&change), e.GetIndex()
		r.alone.Store(r.votesAlone())
		return nil
	}
	if r.named || len(decision) == 0 {
		return nil
	}
	records, err := metadata.DecodeDecision(decision)
	if err != nil {
		return err
	}
	if founders := foundersIn(records); founders != nil {
		r.adopt(founders)
		r.named, r.storage.changed = true, e.GetIndex()
		r.alone.Store(r.votesAlone())
	}
	return nil
}

// deliver gives the applier what is committed.
func (r *replica) deliver(all ...committed) {
	r.delivered = all[len(all)-1].index
	r.journal.log.SetHighWatermark(int64(r.delivered))
	r.applier.push(all...)
}

// install takes over a snapshot that the leader sent in place of entries that it
// no longer has.
func (r *replica) install(s *raftpb.Snapshot) error {
	index, term := s.GetMetadata().GetIndex(), s.GetMetadata().GetTerm()
	taken, err := decodeSnapshot(s.GetData())
	if err == nil && (taken.index != index || taken.term != term) {
		err = fmt.Errorf("it ends at %d in term %d, not in term %d", taken.index, taken.term, term)
	}
	if err != nil {
		return fmt.Errorf("the leader's snapshot at %d: %w", index, err)
	}
	if err := r.journal.installSnapshot(s.GetData(), index); err != nil {
		return err
	}
	if err := r.storage.install(s); err != nil {
		return err
	}
	r.named = true
	r.alone.Store(r.votesAlone())
	r.deliver(committed{index: index, term: term, snapshot: taken})
	return nil
}

// propose hands a proposal to raft. Where it returns nil, the outcome follows.
func (r *replica) propose(p *proposal) error {
	h := handed{proposal: p, taken: make(chan error, 1)}
	select {
	case r.proposals <- h:
		return <-h.taken
	case <-r.quit:
		return errStopping
	}
}

// Unreachable tells that the process of another voter does not answer: not that
// it is slow, but that nobody listens. If it led, this node stands for the lead
// without waiting longer.
func (q *Quorum) Unreachable(node int32) {
	select {
	case q.replica.lostLead <- node:
	default:
	}
}

// works tells whether this node takes part still.
func (q *Quorum) works() bool { return q.broken() == nil }

// broken is why this node takes no more part, nil while it does.
func (q *Quorum) broken() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failed
}

// voterChange is what raft is told of a decision that changes the voters and nothing
// else, nil for all other decisions.
func voterChange(records []metadata.Record, decision []byte) *raftpb.ConfChangeV2 {
	if len(records) != 1 {
		return nil
	}
	single := &raftpb.ConfChangeSingle{}
	switch r := records[0].(type) {
	case *metadata.VoterAdded:
		single.Type, single.NodeId = raftpb.ConfChangeAddNode.Enum(), proto.Uint64(raftIDOf(r.Voter))
	case *metadata.VoterJoining:
		single.Type, single.NodeId = raftpb.ConfChangeAddLearnerNode.Enum(), proto.Uint64(raftIDOf(r.Voter))
	case *metadata.VoterRemoved:
		single.Type, single.NodeId = raftpb.ConfChangeRemoveNode.Enum(), proto.Uint64(raftID(r.ID, r.DirectoryID))
	default:
		return nil
	}
	return &raftpb.ConfChangeV2{Changes: []*raftpb.ConfChangeSingle{single}, Context: decision}
}

// decisionOf is what an entry decides; nothing where a leader only begins.
func decisionOf(e *raftpb.Entry) ([]byte, error) {
	if !changesVoters(e) {
		return e.GetData(), nil
	}
	var change raftpb.ConfChangeV2
	if err := proto.Unmarshal(e.GetData(), &change); err != nil {
		return nil, err
	}
	return change.GetContext(), nil
}
