package main

import "time"

// deliveryTimeout is how long records may wait for a broker that takes one, as
// Kafka's producer has it. The client's own timeout goes by the timestamps of
// records, which may be of another year.
const deliveryTimeout = 2 * time.Minute

// patienceTicks is how often within deliveryTimeout is looked.
const patienceTicks = 4

// patience knows for how long nothing has arrived although records waited.
type patience struct {
	arrived int64 // records, when looked at last
	stuck   int   // ticks since then without a change
}

// over is asked at every tick. It says whether records waited for
// deliveryTimeout and none of them arrived.
func (p *patience) over(arrived int64, waiting bool) bool {
	if arrived != p.arrived || !waiting {
		p.arrived, p.stuck = arrived, 0
		return false
	}
	p.stuck++
	return p.stuck > patienceTicks
}

// giveUpWhenStuck calls giveUp once patience is over. The returned function
// ends the watch.
func (p *production) giveUpWhenStuck(giveUp func()) (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		var patience patience
		tick := time.NewTicker(deliveryTimeout / patienceTicks)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if patience.over(p.sent.Load(), p.client.BufferedProduceRecords() > 0) {
					giveUp()
				}
			case <-done:
				return
			}
		}
	}()
	return func() { close(done); <-stopped }
}
