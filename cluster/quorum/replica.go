package quorum

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
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
	send    func(to int32, message []byte)

	led       leadership       // as it was published last
	delivered uint64           // index of the last entry that the applier was given
	heard     map[uint64]heard // when voters were heard of, since this node leads
	placing   *proposal        // was handed to raft and has no index yet
	standIn   int              // ticks until this node stands for the lead in place of one that is gone, 0 for not

	inbox     chan *raftpb.Message
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
	inboxSize        = 256
	maxMessageBytes  = 1 << 20
	maxInflight      = 64
)

// raftID is the id that a node has in raft, where 0 is nobody.
func raftID(node int32) uint64 { return uint64(node) + 1 }

func nodeOf(id uint64) int32 { return int32(id) - 1 }

func newReplica(q *Quorum, deps Deps, s *state) (*replica, error) {
	r := &replica{
		quorum: q, journal: q.journal, applier: newApplier(), send: deps.Send, led: leadership{id: -1}, delivered: s.index,
		inbox: make(chan *raftpb.Message, inboxSize), proposals: make(chan handed), snapshots: make(chan *state, 1),
		lostLead: make(chan int32, 1), asks: make(chan chan raftStatus), again: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	var err error
	if r.storage, err = openStorage(q.journal, s, q.Voters()); err != nil {
		return nil, err
	}
	return r, r.boot()
}

// boot gives raft what is on the disk, as after a start.
func (r *replica) boot() (err error) {
	r.node, err = raft.NewRawNode(&raft.Config{
		ID: raftID(r.quorum.config.NodeID), Storage: r.storage, Applied: r.delivered,
		ElectionTick: ticksPerElection, HeartbeatTick: 1, PreVote: true, CheckQuorum: true,
		MaxSizePerMsg: maxMessageBytes, MaxInflightMsgs: maxInflight, DisableProposalForwarding: true, StepDownOnRemoval: true,
		Logger: raftLogger{r.quorum.logger},
	})
	if err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	return nil
}

// start begins the goroutines.
func (r *replica) start() {
	r.running.Go(r.run)
	r.running.Go(func() { r.quorum.apply(r.applier) })
	ctx, cancel := context.WithCancel(context.Background())
	r.running.Go(func() { r.quorum.claim(ctx) })
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
	if !r.quorum.works() {
		return nil // the disk is not what it was: nothing more is told of it
	}
	return r.journal.saveVote(r.storage.hard)
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

// retry lets a node that is alone stand for the lead without waiting for the next
// tick.
func (r *replica) retry() {
	select {
	case r.again <- struct{}{}:
	default:
	}
}

func (r *replica) standAgain() {
	if r.led.id < 0 && r.standIn > 0 {
		r.standIn = 0
		r.campaign()
	}
}

func (r *replica) campaign() {
	if err := r.node.Campaign(); err != nil {
		r.quorum.logger.Warn("standing for the lead of the quorum failed", "err", err)
	}
}

// step hands raft what another voter said, and what else has arrived meanwhile:
// then one flush serves all.
func (r *replica) step(m *raftpb.Message) {
	for {
		// A message that raft does not expect is a late one.
		_ = r.node.Step(m)
		r.hear(m.GetFrom())
		select {
		case m = <-r.inbox:
		default:
			return
		}
	}
}

// doubt gives up a leader whose process is gone, which the others see too, and
// stands for the lead soon: one voter after the other, lest they split the votes.
func (r *replica) doubt(node int32) {
	if node != r.led.id || node == r.quorum.config.NodeID || r.node.ForgetLeader() != nil {
		return
	}
	r.standIn = 1
	for _, v := range r.quorum.Voters() {
		if v.ID < r.quorum.config.NodeID && v.ID != node {
			r.standIn += 2
		}
	}
}

// tick lets raft's time pass.
func (r *replica) tick() {
	r.node.Tick()
	if r.standIn == 0 {
		return
	}
	if r.standIn--; r.standIn == 0 && r.led.id < 0 {
		r.campaign()
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
	if p.voter == nil {
		return r.node.Propose(p.decision)
	}
	return r.node.ProposeConfChange(voterChange(p.voter, p.decision))
}

// work does all that raft asks for.
func (r *replica) work() error {
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
		r.quorum.writable()
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
		if err := r.storage.setHard(rd.HardState); err != nil {
			return err
		}
	}
	return r.storage.append(rd.Entries)
}

// notePlace tells the pending proposal the index that raft gave it: it is the
// last of the entries that are new.
func (r *replica) notePlace(rd *raft.Ready) {
	if r.placing == nil || len(rd.Entries) == 0 {
		return
	}
	last := rd.Entries[len(rd.Entries)-1]
	if last.GetTerm() == r.placing.term {
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
		if err != nil || r.send == nil {
			continue
		}
		r.send(nodeOf(m.GetTo()), encoded)
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
		if e.GetType() == raftpb.EntryConfChangeV2 {
			var change raftpb.ConfChangeV2
			if err := proto.Unmarshal(e.GetData(), &change); err != nil {
				return fmt.Errorf("entry %d: %w", e.GetIndex(), err)
			}
			r.storage.voters = r.node.ApplyConfChange(&change)
		}
		all = append(all, committed{index: e.GetIndex(), term: e.GetTerm(), decision: decision, size: len(decision) + entryOverhead})
	}
	if len(all) > 0 {
		r.deliver(all...)
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

// Receive takes a message of another voter. One that comes faster than it can be
// taken is lost, as the network may lose it too.
func (q *Quorum) Receive(message []byte) error {
	m := new(raftpb.Message)
	if err := proto.Unmarshal(message, m); err != nil {
		return fmt.Errorf("a message of the quorum: %w", err)
	}
	if m.GetTo() != raftID(q.config.NodeID) {
		return fmt.Errorf("a message of the quorum is for node %d, this is node %d", nodeOf(m.GetTo()), q.config.NodeID)
	}
	select {
	case q.replica.inbox <- m:
	default:
	}
	return nil
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

// voterChange is what raft is told of a change of the voters.
func voterChange(r metadata.Record, decision []byte) *raftpb.ConfChangeV2 {
	single := &raftpb.ConfChangeSingle{Type: raftpb.ConfChangeAddNode.Enum()}
	switch r := r.(type) {
	case *metadata.VoterAdded:
		single.NodeId = proto.Uint64(raftID(r.Voter.ID))
	case *metadata.VoterRemoved:
		single.NodeId = proto.Uint64(raftID(r.ID))
		single.Type = raftpb.ConfChangeRemoveNode.Enum()
	}
	return &raftpb.ConfChangeV2{Changes: []*raftpb.ConfChangeSingle{single}, Context: decision}
}

// decisionOf is what an entry decides; nothing where a leader only begins.
func decisionOf(e *raftpb.Entry) ([]byte, error) {
	if e.GetType() != raftpb.EntryConfChangeV2 {
		return e.GetData(), nil
	}
	var change raftpb.ConfChangeV2
	if err := proto.Unmarshal(e.GetData(), &change); err != nil {
		return nil, err
	}
	return change.GetContext(), nil
}
