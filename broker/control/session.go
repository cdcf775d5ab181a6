package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
)

const (
	// heartbeatPatience is how long a registration or heartbeat waits for its answer.
	heartbeatPatience = time.Second
	// leavingInterval is how often a broker that wants to shut down asks whether it may.
	leavingInterval = 50 * time.Millisecond
)

// session is what the broker and the controller hold of each other. It belongs to the
// goroutine that speaks for the broker.
type session struct {
	*Conversation
	registered bool      // with the epoch that BrokerEpoch returns
	fenced     bool      // as the last answer said
	between    pause     // after failures in a row
	doubled    time.Time // since when another process has this broker's id, zero: none has
	unheard    time.Time // since when the controller takes nothing in, zero: it did the last time
	complained bool      // that it does not
}

// run speaks for the broker until ctx ends, or until the controller refuses it for
// good.
func (s *session) run(ctx context.Context) error {
	for l := s.leader.Load(); ctx.Err() == nil; {
		wait, err := s.speak(ctx, l)
		if err != nil {
			return err
		}
		s.await(ctx, l, wait)
		if now := s.leader.Load(); now != l {
			l, s.between, s.doubled = now, pause{}, time.Time{}
		}
	}
	return nil
}

// await waits for a time, without end for a negative one; until another leads; or
// until a heartbeat is due.
func (s *session) await(ctx context.Context, l *leader, wait time.Duration) {
	var over <-chan time.Time
	if wait >= 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-s.wake:
	case <-l.reign.Done():
	case <-ctx.Done():
	}
}

// speak says one thing to l and returns how long to wait before the next; a negative
// time where nothing is to be said until something happens. The error ends the
// session.
func (s *session) speak(ctx context.Context, l *leader) (time.Duration, error) {
	if s.leaving() && !s.registered {
		s.release() // the controller knows of nothing that this broker leads
	}
	if l.id < 0 || s.isReleased() {
		return -1, nil
	}
	speak, cancel := context.WithTimeout(ctx, heartbeatPatience)
	defer cancel()
	if !s.registered {
		return s.register(speak, l)
	}
	return s.heartbeat(speak, l), nil
}

// register asks to be let into the cluster.
func (s *session) register(ctx context.Context, l *leader) (time.Duration, error) {
	answer, err := s.sendTo(ctx, l, registration(&s.config))
	resp, err := as[*kmsg.BrokerRegistrationResponse](answer, err)
	if err != nil {
		return s.failed(l, err), nil
	}
	switch err := kerr.ErrorForCode(resp.ErrorCode); {
	case err == nil:
		s.epoch.Store(resp.BrokerEpoch)
		s.registered, s.fenced, s.doubled = true, true, time.Time{}
		s.heard()
		s.deps.Logger.Info("the active controller registered this broker", "controller", l.id, "epoch", resp.BrokerEpoch)
		return 0, nil
	case errors.Is(err, kerr.DuplicateBrokerRegistration):
		return s.duplicate(l)
	default:
		return s.failed(l, err), refusal(&s.config, l, err)
	}
}

// duplicate is told that another process has this broker's id. That is so for a while
// after a restart, until the former process counts as gone.
func (s *session) duplicate(l *leader) (time.Duration, error) {
	if s.doubled.IsZero() {
		s.doubled = time.Now()
	}
	if time.Since(s.doubled) < 2*s.config.SessionTimeout {
		return s.between.take(), nil
	}
	return 0, fmt.Errorf("node %d, the active controller, hears of another broker with the id %d: stop the other, or give this one a node.id of its own: %w",
		l.id, s.config.Node, kerr.DuplicateBrokerRegistration)
}

// refusal says why a broker that was refused cannot be in the cluster; nil where that
// may change.
func refusal(c *Config, l *leader, err error) error {
	switch {
	case errors.Is(err, kerr.InconsistentClusterID):
		return fmt.Errorf("this node's folders are formatted for the cluster %s, and node %d, the active controller, is in another: "+
			"name the controllers of its own cluster with controller.quorum.voters or controller.quorum.bootstrap.servers: %w", c.ClusterID, l.id, err)
	case errors.Is(err, kerr.InvalidRegistration):
		return fmt.Errorf("node %d, the active controller, takes none of this broker's log.dirs as its own, and its log says which: "+
			"a folder may be a copy of another broker's; name an empty one, and format it: %w", l.id, err)
	case errors.Is(err, kerr.UnsupportedVersion):
		return fmt.Errorf("the cluster relies on features that this version of Klamm does not have: run the version that its other nodes run: %w", err)
	}
	return nil
}

// heartbeat says that the broker is there, and what it wants.
func (s *session) heartbeat(ctx context.Context, l *leader) time.Duration {
	answer, err := s.sendTo(ctx, l, s.status())
	resp, err := as[*kmsg.BrokerHeartbeatResponse](answer, err)
	if err != nil {
		return s.failed(l, err)
	}
	switch err := kerr.ErrorForCode(resp.ErrorCode); {
	case errors.Is(err, kerr.StaleBrokerEpoch), errors.Is(err, kerr.BrokerIDNotRegistered):
		s.deps.Logger.Warn("the active controller does not know this broker; it registers again", "controller", l.id, "epoch", s.BrokerEpoch())
		s.registered = false
		return s.between.take()
	case err != nil:
		return s.failed(l, err)
	}
	s.heard()
	if resp.IsFenced != s.fenced {
		s.fenced = resp.IsFenced
		s.deps.Logger.Info("the active controller changed this broker's part in the cluster", "controller", l.id, "fenced", s.fenced)
	}
	switch {
	case resp.ShouldShutdown:
		s.release()
		return -1
	case s.leaving():
		return min(leavingInterval, s.config.HeartbeatInterval)
	}
	return s.config.HeartbeatInterval
}

// status is the heartbeat that is due now.
func (s *session) status() *kmsg.BrokerHeartbeatRequest {
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.BrokerID, req.BrokerEpoch = s.config.Node, s.BrokerEpoch()
	req.CurrentMetadataOffset = s.deps.View.Applied()
	req.CordonedLogDirs = s.config.Cordoned()
	s.mu.Lock()
	defer s.mu.Unlock()
	b, found := s.seen.Broker(req.BrokerID)
	req.WantFence = !found || b.Epoch != req.BrokerEpoch || b.Incarnation != s.config.Incarnation
	req.WantShutdown = s.shutDown
	return req
}

// failed takes in that the controller did not take in what the broker said, which may
// pass, and returns how long to wait before it is said again.
func (s *session) failed(l *leader, err error) time.Duration {
	if s.unheard.IsZero() {
		s.unheard = time.Now()
	}
	if s.leaving() && time.Since(s.unheard) >= 2*s.config.SessionTimeout {
		s.release() // whoever decides has fenced this broker by now
	}
	if time.Since(s.unheard) >= s.config.SessionTimeout && !s.complained {
		s.complained = true
		s.deps.Logger.Warn("the active controller has not heard this broker for the time of a session; it tries on", "controller", l.id, "err", err)
	}
	return s.between.take()
}

// heard takes in that it did.
func (s *session) heard() {
	if s.complained {
		s.deps.Logger.Info("the active controller hears this broker again")
	}
	s.unheard, s.complained, s.between = time.Time{}, false, pause{}
}

func (s *session) leaving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shutDown
}

// release lets ShutDown return.
func (s *session) release() {
	if !s.isReleased() {
		close(s.released)
	}
}

func (s *session) isReleased() bool {
	select {
	case <-s.released:
		return true
	default:
		return false
	}
}

func registration(c *Config) *kmsg.BrokerRegistrationRequest {
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.BrokerID, req.ClusterID, req.IncarnationID = c.Node, c.ClusterID, c.Incarnation
	req.LogDirs, req.PreviousBrokerEpoch = c.LogDirs, c.PreviousBrokerEpoch
	if c.Rack != "" {
		req.Rack = &c.Rack
	}
	for _, e := range c.Listeners {
		req.Listeners = append(req.Listeners, listener(e))
	}
	for _, f := range c.Features {
		req.Features = append(req.Features, feature(f))
	}
	return req
}

func listener(e metadata.Endpoint) kmsg.BrokerRegistrationRequestListener {
	l := kmsg.NewBrokerRegistrationRequestListener()
	l.Name, l.Host, l.Port, l.SecurityProtocol = e.Listener, e.Host, e.Port, e.SecurityProtocol
	return l
}

func feature(f metadata.FeatureRange) kmsg.BrokerRegistrationRequestFeature {
	r := kmsg.NewBrokerRegistrationRequestFeature()
	r.Name, r.MinSupportedVersion, r.MaxSupportedVersion = f.Name, f.Min, f.Max
	return r
}
