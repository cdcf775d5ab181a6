package txn

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/coordinator/step"
	"github.com/klamm-io/klamm/protocol"
)

// Config is what transactions are held to.
type Config struct {
	MaxTimeout    time.Duration // transaction.max.timeout.ms
	AbortInterval time.Duration // transaction.abort.timed.out.transaction.cleanup.interval.ms
	Expiration    time.Duration // transactional.id.expiration.ms
	// Version tells the finalized transaction.version, which may change between two
	// steps: 2 gives each transaction its own epoch.
	Version func() int16
	// NewestConnection is the greatest number that a connection has by now.
	NewestConnection func() uint64
	// Epoch is the leader epoch of the partition of __transaction_state. Markers carry
	// it.
	Epoch int32
}

// Producer is a producer id and its epoch; None where a client names none.
type Producer struct {
	ID    int64
	Epoch int16
}

// None is no producer.
var None = Producer{ID: -1, Epoch: -1}

// Request names whose transaction is meant, and who asks.
type Request struct {
	TransactionalID string
	Producer        Producer
	// Version is the transaction.version that the client follows: 2 where each of
	// its transactions has an epoch of its own, else 0.
	Version int16
	// Connection numbers the connection on which a client asks; later ones have
	// greater numbers. 0 is not checked.
	Connection uint64
}

// Answer is the reply to a request.
type Answer struct {
	Producer Producer // as it is from now on
	Err      error
	// Missing are the partitions that are not in the transaction, of those that were
	// to be verified.
	Missing []protocol.TopicPartition
}

// Errors of an Answer that are not a Kafka error code.
var (
	// ErrNeedsProducerID asks for the request again, with a producer id that nobody
	// had yet.
	ErrNeedsProducerID = errors.New("a new producer id is needed")
	// ErrStaleConnection refuses a request that came on a connection which its client
	// has left for a newer one: it may belong to a transaction that is over.
	ErrStaleConnection = errors.New("the client has since asked on a newer connection")
)

// WriteMarkers is the effect that ends a transaction in its partitions. Once
// markers are committed in some of them, MarkersWritten is to be called; where
// that fails it is asked for again later.
type WriteMarkers struct {
	TransactionalID string
	Marker          step.Marker
	Partitions      []protocol.TopicPartition
}

// Coordinator holds the transactional ids of one partition of __transaction_state.
type Coordinator struct {
	config Config
	logger *slog.Logger
	txns   map[string]*txn
	parked map[string][]parked // by transactional id
	failed map[string]retry    // by transactional id: markers that are to be tried again

	nextScan time.Time
	unknown  map[int16]bool // versions of record keys that were met and not understood
}

// New returns a coordinator without transactions.
func New(c Config, logger *slog.Logger) *Coordinator {
	return &Coordinator{
		config: c, logger: logger, txns: map[string]*txn{}, parked: map[string][]parked{}, failed: map[string]retry{}, unknown: map[int16]bool{},
	}
}

// sorted are the transactions by their ids: the same state makes the same steps.
func (c *Coordinator) sorted() []*txn {
	return slices.SortedFunc(maps.Values(c.txns), func(a, b *txn) int { return strings.Compare(a.id, b.id) })
}

// output collects what a step wants done.
type output struct{ step.Output }

func (o *output) refuse(to step.Ticket, err error) {
	o.Replies = append(o.Replies, step.Reply{To: to, Response: Answer{Producer: None, Err: err}})
}

// confirm answers once everything that was appended so far is committed.
func (o *output) confirm(to step.Ticket, a Answer) {
	o.Later = append(o.Later, step.Reply{To: to, Response: a, Failed: Answer{Producer: None, Err: kerr.NotCoordinator}})
}

// move writes the state that t is to have, and gives it to t when it is appended.
// to, if it is not nil, is answered when it is committed; then is done after that.
func (c *Coordinator) move(out *output, t, next *txn, to step.Ticket, a Answer, then step.Effect) {
	out.Writes = append(out.Writes, step.Write{
		Records: []step.Record{c.record(next)},
		Then:    then,
		Done: func(err error) []step.Reply {
			if err != nil {
				return replyTo(to, Answer{Producer: None, Err: err}, Answer{})
			}
			*t = *next
			c.txns[t.id] = t
			return replyTo(to, a, Answer{Producer: None, Err: kerr.NotCoordinator})
		},
	})
}

func replyTo(to step.Ticket, a, failed Answer) []step.Reply {
	if to == nil {
		return nil
	}
	return []step.Reply{{To: to, Response: a, Failed: failed}}
}
