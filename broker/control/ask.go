package control

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// The pauses before a request that failed is sent again. Each is twice the last.
	firstPause, longestPause = 20 * time.Millisecond, 200 * time.Millisecond
	// catchUpPatience is how long an answer waits for what it tells of to be known here.
	catchUpPatience = time.Second
)

// pause is how long to wait after failures in a row. The zero value is the first.
type pause struct{ next time.Duration }

func (p *pause) take() time.Duration {
	now := max(p.next, firstPause)
	p.next = min(2*now, longestPause)
	return now
}

// Ask sends a request to the active controller and waits for the answer, and until
// the metadata here is as new as the controller's was then (for a second at most).
// While there is no controller, and where one says that it is none, it is sent again
// until ctx ends: REQUEST_TIMED_OUT. It does not outlive Run for long.
func (c *Conversation) Ask(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	resp, l, err := c.persist(ctx, func() kmsg.Request { return req }, mentions(kerr.NotController))
	if err != nil {
		return nil, err
	}
	c.catchUp(ctx, l)
	return resp, nil
}

// TakeProducerIDs gets producer ids, from first to before end, that nobody was given.
func (c *Conversation) TakeProducerIDs(ctx context.Context) (first, end int64, err error) {
	answer, _, err := c.persist(ctx, func() kmsg.Request {
		req := kmsg.NewPtrAllocateProducerIDsRequest()
		req.BrokerID, req.BrokerEpoch = c.config.Node, c.BrokerEpoch()
		return req
	}, mentions(kerr.NotController, kerr.StaleBrokerEpoch)) // a new epoch is on its way
	resp, err := as[*kmsg.AllocateProducerIDsResponse](answer, err)
	if err != nil {
		return 0, 0, fmt.Errorf("get producer ids: %w", err)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return 0, 0, fmt.Errorf("get producer ids: %w", err)
	}
	return resp.ProducerIDStart, resp.ProducerIDStart + int64(resp.ProducerIDLen), nil
}

// as gives an answer the type that it should have.
func as[R kmsg.Response](answer kmsg.Response, err error) (resp R, _ error) {
	if err != nil {
		return resp, err
	}
	resp, is := answer.(R)
	if !is {
		return resp, fmt.Errorf("the active controller answered with %T: %w", answer, kerr.UnknownServerError)
	}
	return resp, nil
}

// persist sends what request makes to whoever is the active controller, until it is
// answered and again finds no reason for another try. It returns who answered.
func (c *Conversation) persist(ctx context.Context, request func() kmsg.Request, again func(kmsg.Response) error) (kmsg.Response, *leader, error) {
	failure := errors.New("no active controller is known")
	for between := (pause{}); ; {
		l := c.leader.Load()
		if l.id < 0 {
			between = pause{}
			if err := c.rest(ctx, l, -1); err != nil {
				return nil, l, fmt.Errorf("%w: %w", failure, err)
			}
			continue
		}
		resp, err := c.sendTo(ctx, l, request())
		if err == nil {
			err = again(resp)
		}
		if err == nil {
			return resp, l, nil
		}
		failure = fmt.Errorf("ask node %d, the active controller: %w", l.id, err)
		if err := c.rest(ctx, l, between.take()); err != nil {
			return nil, l, fmt.Errorf("%w: %w", failure, err)
		}
	}
}

// rest waits for a time, without end for a negative one, but not longer than l leads.
// The error says that ctx or Run has ended.
func (c *Conversation) rest(ctx context.Context, l *leader, wait time.Duration) error {
	over, cancel := l.reign, func() {}
	if wait >= 0 {
		over, cancel = context.WithTimeout(l.reign, wait)
	}
	defer cancel()
	select {
	case <-over.Done():
	case <-ctx.Done():
	}
	select {
	case <-c.ended:
		return errEnded
	default:
	}
	if ctx.Err() != nil {
		return kerr.RequestTimedOut
	}
	return nil
}

var errEnded = fmt.Errorf("this broker is stopping: %w", kerr.BrokerNotAvailable)

// sendTo sends a request to l and waits for the answer while l leads.
func (c *Conversation) sendTo(ctx context.Context, l *leader, req kmsg.Request) (kmsg.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(l.reign, func() { cancel(errDeposed) })
	defer stop()
	resp, err := c.send(ctx, l.id, req)
	if err != nil && errors.Is(context.Cause(ctx), errDeposed) {
		return nil, errDeposed
	}
	return resp, err
}

var errDeposed = errors.New("it does not lead the quorum any more")

func (c *Conversation) send(ctx context.Context, node int32, req kmsg.Request) (kmsg.Response, error) {
	req.SetVersion(version(req))
	if node == c.config.Node && c.deps.Local != nil {
		switch req := req.(type) {
		case *kmsg.BrokerRegistrationRequest:
			return c.deps.Local.RegisterBroker(ctx, req), nil
		case *kmsg.BrokerHeartbeatRequest:
			return c.deps.Local.Heartbeat(ctx, req), nil
		case *kmsg.AlterPartitionRequest:
			return c.deps.Local.AlterPartition(ctx, req), nil
		case *kmsg.AllocateProducerIDsRequest:
			return c.deps.Local.AllocateProducerIDs(ctx, req), nil
		}
	}
	return c.deps.Send(ctx, node, req)
}

// version is the one at which nodes ask each other: the highest for what only they
// send, and what the asker chose for everything else.
func version(req kmsg.Request) int16 {
	switch req.(type) {
	case *kmsg.BrokerRegistrationRequest, *kmsg.BrokerHeartbeatRequest, *kmsg.AlterPartitionRequest,
		*kmsg.AllocateProducerIDsRequest, *kmsg.DescribeQuorumRequest:
		return req.MaxVersion()
	}
	return req.GetVersion()
}

// mentions finds the first of the errors that a response has, at whatever depth.
func mentions(errs ...*kerr.Error) func(kmsg.Response) error {
	return func(resp kmsg.Response) error {
		for _, err := range errs {
			if hasCode(reflect.ValueOf(resp), int64(err.Code)) {
				return err
			}
		}
		return nil
	}
}

func hasCode(v reflect.Value, code int64) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return hasCode(v.Elem(), code)
	case reflect.Slice:
		for i := range v.Len() {
			if v.Type().Elem().Kind() == reflect.Struct && hasCode(v.Index(i), code) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Field(i)
			if v.Type().Field(i).Name == "ErrorCode" && f.Kind() == reflect.Int16 && f.Int() == code || hasCode(f, code) {
				return true
			}
		}
	}
	return false
}

// catchUp waits until the metadata here is as new as that of l, which has decided
// something. Where it cannot be it is left at that: it will be soon.
func (c *Conversation) catchUp(ctx context.Context, l *leader) {
	if l.id == c.config.Node {
		return // who decides knows before anyone is answered
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpPatience)
	defer cancel()
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Topics = []kmsg.DescribeQuorumRequestTopic{{
		Topic: "__cluster_metadata", Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{Partition: 0}},
	}}
	answer, err := c.sendTo(ctx, l, req)
	resp, err := as[*kmsg.DescribeQuorumResponse](answer, err)
	if err != nil || len(resp.Topics) == 0 || len(resp.Topics[0].Partitions) == 0 {
		return
	}
	_ = c.deps.View.AwaitApplied(ctx, resp.Topics[0].Partitions[0].HighWatermark)
}
