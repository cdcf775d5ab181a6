package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/cluster/decommission"
	"github.com/klamm-io/klamm/cluster/health"
	"github.com/klamm-io/klamm/internal/quantity"
)

// stallAfter is for how long nothing may be copied before a watch ends: then
// somebody has to look.
const stallAfter = 5 * time.Minute

// decommissioning moves what brokers hold to others, step by step. It keeps nothing
// that a later run would need: where the replicas are is all that counts. Of one
// goroutine.
type decommissioning struct {
	env      *environment
	client   *kgo.Client
	admin    *kadm.Client
	throttle *throttle
	leaving  []int32
	options  decommissionOptions
	pause    time.Duration                        // between two looks
	moved    map[topicPartition]*health.Partition // those that were on their way at the last look
}

// step is what one look found and began.
type step struct {
	facts *health.Facts
	plan  *decommission.Plan
	begun int // moves
	stuck []decommission.Stuck
}

// onTheWay is how many replicas are, or will be when the moves have begun.
func (s *step) onTheWay() int { return s.plan.Moving + s.begun }

func (d *decommissioning) run(ctx context.Context) error {
	f, err := d.look(ctx)
	if err != nil {
		return err
	}
	if err := d.throttle.slowBrokers(ctx, f); err != nil {
		return err
	}
	d.cordon(ctx, f)
	if d.options.watch {
		return d.watch(ctx)
	}
	s, err := d.step(ctx)
	if err != nil {
		return err
	}
	if s.plan.Replicas == 0 {
		return d.finish(ctx, s.facts)
	}
	fmt.Fprintln(d.env.out, d.progress(s))
	if s.onTheWay() > 0 {
		d.env.note("The cluster goes on by itself. Run the command again to see how far it is, and at the end how to stop the broker; with --watch it stays.")
	}
	return d.stuckError(s)
}

// step plans from how things are, and begins what is to begin.
func (d *decommissioning) step(ctx context.Context) (*step, error) {
	f, err := d.look(ctx)
	if err != nil {
		return nil, err
	}
	d.remember(f)
	s := &step{facts: f, plan: decommission.Make(f, d.leaving, d.options.atOnce)}
	s.stuck = s.plan.Stuck
	var moves []assignment
	for _, m := range s.plan.Next {
		moves = append(moves, assignment{m.TopicPartition, m.Replicas})
	}
	if err := d.throttle.slowTopics(ctx, moves); err != nil {
		return nil, err
	}
	refused, err := assign(ctx, d.client, moves, true)
	if err != nil {
		return nil, fmt.Errorf("begin to move partitions: %s", why(err))
	}
	for _, m := range moves {
		r, found := refused[m.topicPartition]
		switch {
		case !found:
			s.begun++
		case errors.Is(r.err, kerr.UnknownTopicOrPartition), errors.Is(r.err, kerr.InvalidReplicationFactor): // it was deleted or changed meanwhile
		default:
			s.stuck = append(s.stuck, decommission.Stuck{TopicPartition: m.topicPartition, Why: r.String()})
		}
	}
	return s, nil
}

// remember looks for moves that are done by the controller's word, but not by that of
// the broker that told of the partitions, which hears of it a little later: to plan
// from what it says would give them replicas that nobody wants.
func (d *decommissioning) remember(f *health.Facts) {
	moved := map[topicPartition]*health.Partition{}
	for i := range f.Partitions {
		p := &f.Partitions[i]
		if was := d.moved[p.TopicPartition]; was != nil && !p.Moving() && slices.Equal(p.Replicas, was.Replicas) {
			p.Adding, p.Removing = was.Adding, was.Removing
		}
		if p.Moving() {
			moved[p.TopicPartition] = p
		}
	}
	d.moved = moved
}

// watch goes on until the brokers hold nothing, or nothing moves any more.
func (d *decommissioning) watch(ctx context.Context) error {
	line := &progressLine{env: d.env}
	defer line.clear()
	var stall stall
	for {
		s, err := d.step(ctx)
		switch {
		case ctx.Err() != nil:
			line.clear()
			d.env.note("What has begun goes on without this command. Run it again to go on with the rest, or take it back with `klamm broker undecommission %d`.", d.leaving[0])
			return ctx.Err()
		case err != nil && stall.over(time.Now(), ""):
			return err
		case err != nil:
			line.show(err.Error() + "; trying again")
		case s.plan.Replicas == 0:
			line.clear()
			return d.finish(ctx, s.facts)
		case s.onTheWay() == 0:
			line.clear()
			return d.stuckError(s)
		case stall.over(time.Now(), fmt.Sprint(s.plan.Replicas, s.plan.Bytes)):
			line.clear()
			return d.stalledError(s)
		default:
			line.show(d.progress(s))
		}
		select {
		case <-time.After(d.pause):
		case <-ctx.Done():
		}
	}
}

func (d *decommissioning) progress(s *step) string {
	text := fmt.Sprintf("%s: %s left, %s on the way", brokersText(d.leaving), quantity.Counted(int64(s.plan.Replicas), "replica", "replicas"), quantity.Digits(int64(s.onTheWay())))
	if len(s.stuck) > 0 {
		text += ", " + quantity.Digits(int64(len(s.stuck))) + " stuck"
	}
	return text + ", about " + quantity.Bytes(float64(s.plan.Bytes)) + " to copy"
}

// stuckError names the partitions that cannot move, by why they cannot.
func (d *decommissioning) stuckError(s *step) error {
	if len(s.stuck) == 0 {
		return nil
	}
	var reasons []string
	names := map[string][]string{}
	for _, stuck := range s.stuck {
		if names[stuck.Why] == nil {
			reasons = append(reasons, stuck.Why)
		}
		names[stuck.Why] = append(names[stuck.Why], stuck.String())
	}
	var failed failures
	for _, reason := range reasons {
		failed.add("%s cannot leave %s: %s: %s", quantity.Counted(int64(len(names[reason])), "partition", "partitions"), brokersText(d.leaving), reason, fewNames(names[reason]))
	}
	return fmt.Errorf("%w\nAdd a broker, give them fewer replicas with `klamm partition move`, or see `klamm cluster health`; then run this again", failed.err())
}

// stalledError says which moves do not go on.
func (d *decommissioning) stalledError(s *step) error {
	var names []string
	for i := range s.facts.Partitions {
		if p := &s.facts.Partitions[i]; p.Moving() && slices.ContainsFunc(d.leaving, func(id int32) bool { return slices.Contains(p.Removing, id) }) {
			names = append(names, fmt.Sprintf("%s to %s", p, brokersText(p.Adding)))
		}
	}
	return fmt.Errorf("nothing was copied for %s: %s. Look into the logs of these brokers and see `klamm cluster health`; then run this again", stallAfter, fewNames(names))
}

// finish says what is left to do.
func (d *decommissioning) finish(ctx context.Context, f *health.Facts) error {
	fmt.Fprintf(d.env.out, "%s: nothing left\n", brokersText(d.leaving))
	if err := d.liftThrottle(ctx, f); err != nil {
		return err
	}
	for _, id := range d.leaving {
		d.env.note("%s", lastSteps(f, id))
	}
	return nil
}

// lastSteps says how to take a broker out that holds nothing.
func lastSteps(f *health.Facts, id int32) string {
	b := f.Broker(id)
	if b == nil {
		return fmt.Sprintf("The cluster does not know broker %d any more: nothing is left to do.", id)
	}
	text := lastVote(f, id)
	if !b.Fenced {
		text += fmt.Sprintf("Stop broker %d, as with `systemctl stop klamm` at %s. ", id, b.Host)
	}
	return text + fmt.Sprintf("Then make the cluster forget it: `klamm broker unregister %d`.", id)
}

// lastVote says what is to be done about the vote that a node has.
func lastVote(f *health.Facts, id int32) string {
	if !votes(f, id) {
		return ""
	}
	i := slices.IndexFunc(f.Quorum.Voters, func(v health.Voter) bool { return v.ID == id })
	if f.Quorum.Voters[i].Fixed {
		return fmt.Sprintf("Node %d is also a voter of the controller quorum, and stays one, since controller.quorum.voters names it: when it is stopped, so many fewer of the others may fail. ", id)
	}
	return fmt.Sprintf("Node %d is also a voter of the controller quorum: `klamm quorum remove %d` takes its vote away. ", id, id)
}

// liftThrottle takes a throttle away if no partition is on its way any more.
func (d *decommissioning) liftThrottle(ctx context.Context, f *health.Facts) error {
	if slices.ContainsFunc(f.Partitions, func(p health.Partition) bool { return p.Moving() }) {
		return nil
	}
	lifted, err := d.throttle.lift(ctx, f)
	if lifted {
		d.env.note("The throttle of the brokers was taken away.")
	}
	return err
}

// takeBack is the opposite of run.
func (d *decommissioning) takeBack(ctx context.Context) error {
	f, err := d.look(ctx)
	if err != nil {
		return err
	}
	var moves []assignment
	for i := range f.Partitions {
		p := &f.Partitions[i]
		if slices.ContainsFunc(d.leaving, func(id int32) bool { return slices.Contains(p.Removing, id) }) {
			moves = append(moves, assignment{topicPartition: p.TopicPartition})
		}
	}
	if err := d.env.cancelMoves(ctx, d.client, moves); err != nil {
		return err
	}
	d.uncordon(ctx, f)
	if f, err = d.look(ctx); err != nil {
		return err
	}
	return d.liftThrottle(ctx, f)
}

// cordonedDirs is the config of a broker that names its folders that get no new
// replicas (KIP-1066).
const cordonedDirs = "cordoned.log.dirs"

// cordon keeps new partitions away from the brokers, where the cluster can do that.
func (d *decommissioning) cordon(ctx context.Context, f *health.Facts) {
	all := "*"
	for _, id := range d.leaving {
		if b := f.Broker(id); b == nil || b.Fenced || isCordoned(b) {
			continue
		}
		if err := brokerTarget(id).alter(ctx, d.admin, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: cordonedDirs, Value: &all}}, false); err != nil {
			d.env.note("This cluster cannot keep new partitions away from broker %d; those that come are moved too.", id)
		}
	}
}

func (d *decommissioning) uncordon(ctx context.Context, f *health.Facts) {
	for _, id := range d.leaving {
		if b := f.Broker(id); b == nil || b.Fenced || !isCordoned(b) {
			continue
		}
		if err := brokerTarget(id).alter(ctx, d.admin, []kadm.AlterConfig{{Op: kadm.DeleteConfig, Name: cordonedDirs}}, false); err != nil {
			d.env.note("klamm: let new partitions come to broker %d again: %v", id, err)
		}
	}
}

func isCordoned(b *health.Broker) bool {
	return slices.ContainsFunc(b.Dirs, func(dir health.Dir) bool { return dir.Cordoned })
}

// stall knows since when nothing has changed.
type stall struct {
	seen  string
	since time.Time
}

// over is asked with how things are, and says whether that has been so for
// stallAfter.
func (s *stall) over(now time.Time, seen string) bool {
	if seen != s.seen || s.since.IsZero() {
		s.seen, s.since = seen, now
	}
	return now.Sub(s.since) >= stallAfter
}

// progressLine shows how far something is: on a terminal in one line, elsewhere a
// line where it changed, and not too many.
type progressLine struct {
	env   *environment
	shown string
	at    time.Time
}

// progressEvery is between two lines where there is no terminal.
const progressEvery = 10 * time.Second

func (l *progressLine) show(text string) {
	switch {
	case isTerminal(l.env.errOut):
		fmt.Fprintf(l.env.errOut, "\r%s\x1b[K", text)
	case text != l.shown && time.Since(l.at) >= progressEvery:
		l.env.note("%s", text)
		l.at = time.Now()
	default:
		return
	}
	l.shown = text
}

// clear makes room on a terminal for what comes next.
func (l *progressLine) clear() {
	if l.shown != "" && isTerminal(l.env.errOut) {
		fmt.Fprint(l.env.errOut, "\r\x1b[K")
	}
}
