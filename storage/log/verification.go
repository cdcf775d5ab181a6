package log

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol/record"
)

// A transaction may begin in a partition only when its coordinator knows that the
// partition is in it: else nobody would ever write its marker, and it would hold
// the last stable offset back for ever (KIP-890). So the first batch of a
// transaction is appended under a verification: begun here, confirmed by the
// coordinator, and void as soon as a marker for the producer is appended. A batch
// that was on its way while its transaction ended is thus refused.

// begunVerification is one that nothing was appended under yet.
type begunVerification struct {
	number uint64 // never 0, never used again while the log is open
	epoch  int16
	begun  int64 // milliseconds
}

// BeginVerification begins to find out whether the partition is in the
// transaction of a producer. It returns the number that the append of the
// transaction's first batch is to name, or 0 where the transaction is open here
// already and nothing needs to be found out. now is in milliseconds.
func (l *Log) BeginVerification(producerID int64, epoch int16, now int64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.producers.beginVerification(producerID, epoch, now)
}

func (p *producers) beginVerification(producerID int64, epoch int16, now int64) uint64 {
	if k := p.byID[producerID]; k != nil && k.txnFirstOffset >= 0 && k.epoch == epoch {
		return 0
	}
	if v, begun := p.verifying[producerID]; begun && v.epoch == epoch {
		return v.number
	}
	p.verifications++
	p.verifying[producerID] = begunVerification{number: p.verifications, epoch: epoch, begun: now}
	return p.verifications
}

// verified checks that b, if it opens a transaction, does so under a
// verification that holds.
func (p *producers) verified(b record.Batch, number uint64) error {
	if !b.Attributes().Transactional() || b.Attributes().Control() {
		return nil
	}
	if k := p.byID[b.ProducerID()]; k != nil && k.txnFirstOffset >= 0 {
		return nil
	}
	if v, begun := p.verifying[b.ProducerID()]; begun && v.number == number && v.epoch == b.ProducerEpoch() {
		return nil
	}
	return fmt.Errorf("producer %d, epoch %d: the partition is not known to be in its transaction: %w",
		b.ProducerID(), b.ProducerEpoch(), kerr.InvalidTxnState)
}

// expireVerifications forgets those of producers that never appended.
func (p *producers) expireVerifications(now, expiry int64) {
	for id, v := range p.verifying {
		if now-v.begun >= expiry {
			delete(p.verifying, id)
		}
	}
}
