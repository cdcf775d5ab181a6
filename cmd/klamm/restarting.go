package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/klamm-io/klamm/cluster/health"
	"github.com/klamm-io/klamm/internal/quantity"
)

// downTimeout is how long after its command a node may take to go down: one that
// stays up was not restarted.
const downTimeout = time.Minute

// rollingRestart restarts nodes one after the other. Of one goroutine, but for one
// that waits for the end of a connection.
type rollingRestart struct {
	env     *environment
	options restartOptions
	look    func(context.Context) (*health.Facts, error)
	run     func(ctx context.Context, command string) error
	pause   time.Duration // between two looks
	// unwatched is how long a node is given to go down that no connection can be made
	// to, as to a controller that is no broker.
	unwatched time.Duration

	left []nodeCommand
	done []int32
}

func (r *rollingRestart) restartAll(ctx context.Context) error {
	f, err := r.look(ctx)
	if err != nil {
		return err
	}
	if err := r.check(f); err != nil {
		return err
	}
	for len(r.left) > 0 {
		n := r.next(f)
		if f, err = r.restart(ctx, n); err != nil {
			return fmt.Errorf("%w%s", err, r.rest(n))
		}
		r.done = append(r.done, n.id)
	}
	r.suggestElection(f)
	return nil
}

// check refuses, before anything is done, nodes that are not there, and to make
// something unavailable unasked.
func (r *rollingRestart) check(f *health.Facts) error {
	var failed failures
	for _, n := range r.left {
		why := unavailableWithout(n.id, f.Losing(n.id))
		switch {
		case f.Broker(n.id) == nil && !votes(f, n.id):
			failed.add("%w", unknownBroker(f, n.id))
		case why != "" && r.options.unavailable:
			r.env.note("While node %d is away: %s.", n.id, why)
		case why != "":
			failed.add("node %d is needed: %s. Pass --allow-unavailable to restart it all the same", n.id, why)
		}
	}
	for _, u := range f.Unknown {
		r.env.note("Not known: %s: %s.", u.What, u.Why)
	}
	return failed.err()
}

func votes(f *health.Facts, id int32) bool {
	return f.Quorum != nil && slices.ContainsFunc(f.Quorum.Voters, func(v health.Voter) bool { return v.ID == id })
}

// next takes the next node: the first that is left, but the active controller last,
// so that the cluster has to find a new one only once.
func (r *rollingRestart) next(f *health.Facts) nodeCommand {
	i := slices.IndexFunc(r.left, func(n nodeCommand) bool { return n.id != f.Controller })
	i = max(0, i)
	n := r.left[i]
	r.left = slices.Delete(r.left, i, i+1)
	return n
}

// restart restarts one node, and returns how the cluster is when it is well again.
func (r *rollingRestart) restart(ctx context.Context, n nodeCommand) (*health.Facts, error) {
	f, err := r.await(ctx, 1, func(f *health.Facts) string { return strings.Join(r.inTheWay(f, n.id), "; ") })
	if err != nil {
		return nil, fmt.Errorf("node %d was not restarted, since the cluster cannot do without it: %w", n.id, err)
	}
	began := time.Now()
	if err := r.takeDown(ctx, f, n); err != nil {
		return nil, err
	}
	// Twice, since whoever is asked may not have heard yet that the node was down.
	if f, err = r.await(ctx, 2, func(f *health.Facts) string { return f.Lacks(n.id) }); err != nil {
		return nil, fmt.Errorf("node %d is not well after its restart: %w", n.id, err)
	}
	fmt.Fprintf(r.env.out, "node %d restarted, and well after %.0f s\n", n.id, time.Since(began).Seconds())
	return f, nil
}

// takeDown runs the command and waits until the node was down.
func (r *rollingRestart) takeDown(ctx context.Context, f *health.Facts, n nodeCommand) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	down := r.watchDown(ctx, f, n.id)
	r.env.note("node %d: %s", n.id, n.command)
	if err := r.run(ctx, n.command); err != nil {
		return fmt.Errorf("the command for node %d failed: %w", n.id, err)
	}
	select {
	case <-down:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(min(downTimeout, r.options.timeout)):
		return fmt.Errorf("node %d did not go down after its command: see whether that restarts it", n.id)
	}
}

// await looks until nothing lacks, so many times in a row, and shows meanwhile what
// does. It fails with that when the timeout is over.
func (r *rollingRestart) await(ctx context.Context, times int, lacks func(*health.Facts) string) (*health.Facts, error) {
	line := &progressLine{env: r.env}
	defer line.clear()
	until := time.Now().Add(r.options.timeout)
	for well := 0; ; {
		f, err := r.look(ctx)
		var why string
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			why = err.Error()
		default:
			why = lacks(f)
		}
		if why == "" {
			if well++; well == times {
				return f, nil
			}
		} else {
			well = 0
			line.show("waiting: " + why)
		}
		if time.Now().After(until) && why != "" {
			return nil, errors.New(why)
		}
		select {
		case <-time.After(r.pause):
		case <-ctx.Done():
		}
	}
}

// watchDown returns a channel that is closed when a node goes down, which ends the
// connection that is made to it here, or closed already when it is down.
func (r *rollingRestart) watchDown(ctx context.Context, f *health.Facts, id int32) <-chan struct{} {
	down := make(chan struct{})
	b := f.Broker(id)
	if b == nil {
		time.AfterFunc(r.unwatched, func() { close(down) })
		return down
	}
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", net.JoinHostPort(b.Host, itoa(b.Port)))
	if err != nil {
		close(down)
		return down
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	go func() {
		defer close(down)
		defer stop()
		_, _ = conn.Read(make([]byte, 1)) // brokers do not speak first
		conn.Close()
	}()
	return down
}

// rest says what was done, and what was not.
func (r *rollingRestart) rest(failed nodeCommand) string {
	text := ". See `klamm cluster health`"
	if len(r.done) > 0 {
		text += "; restarted before: " + joinInts(r.done)
	}
	var left []int32
	for _, n := range r.left {
		left = append(left, n.id)
	}
	if len(left) > 0 {
		text += fmt.Sprintf("; left as they are: %s. When node %d is well, run this again for these", joinInts(left), failed.id)
	}
	return text
}

// suggestElection says that leaders are not where they were before the restarts.
func (r *rollingRestart) suggestElection(f *health.Facts) {
	n := int64(0)
	for i := range f.Partitions {
		if p := &f.Partitions[i]; p.Leader >= 0 && len(p.Replicas) > 0 && p.Leader != p.Replicas[0] {
			n++
		}
	}
	if n > 0 {
		r.env.note("%s not led by the preferred leader now: `klamm partition elect-leaders` changes that.", quantity.Counted(n, "partition is", "partitions are"))
	}
}
