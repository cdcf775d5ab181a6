package listener

import "time"

// queue holds the requests of a connection that are begun and not yet answered,
// oldest first. Those that a writer has taken off it still count as pending.
type queue struct {
	head, tail *Request
	pending    int
	exclusive  int // of pending: those that nothing may overlap
}

func (q *queue) push(r *Request) {
	if q.head == nil {
		q.head = r
	} else {
		q.tail.next = r
	}
	q.tail = r
	q.pending++
	if !r.overlaps {
		q.exclusive++
	}
}

// popReady takes off the ready requests at the head, in a list. One that hangs up
// comes alone: what is before it is sent first.
func (q *queue) popReady() *Request {
	if q.head == nil || !q.head.ready {
		return nil
	}
	first, last := q.head, q.head
	if first.hangup == nil {
		for last.next != nil && last.next.ready && last.next.hangup == nil {
			last = last.next
		}
	}
	q.head, last.next = last.next, nil
	return first
}

// mayRead reports whether the next request may be read: whether there is a kind
// of request that could start before more is answered.
func (q *queue) mayRead(limit int) bool {
	return q.pending == 0 || q.exclusive == 0 && q.pending < limit
}

// mayStart holds the rule of order: a request starts when all before it are
// answered, or overlaps with them when all pending ones overlap.
func (q *queue) mayStart(r *Request, limit int) bool {
	return q.pending == 0 || r.overlaps && q.mayRead(limit)
}

// answered takes a list of written requests out of the count.
func (q *queue) answered(list *Request) {
	for r := list; r != nil; r = r.next {
		q.pending--
		if !r.overlaps {
			q.exclusive--
		}
	}
}

// await waits until done holds or the connection is closed, which it reports.
func (c *Conn) await(done func() bool) (open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.awaitLocked(done)
	return !c.closed
}

// awaitLocked is await for who holds mu. What was postponed is done first: it may be
// what is waited for.
func (c *Conn) awaitLocked(done func() bool) {
	for !c.closed && !done() {
		if len(c.postponed.tasks) == 0 {
			c.changed.Wait()
			continue
		}
		c.mu.Unlock()
		c.doPostponed()
		c.mu.Lock()
	}
}

// begin waits until the order of the connection lets r start. It reports false
// where the connection is closed.
func (c *Conn) begin(r *Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.awaitLocked(func() bool { return c.queue.mayStart(r, c.listener.config.MaxInFlight) })
	if c.closed {
		return false
	}
	c.queue.push(r)
	c.handling = true
	r.clock.began = time.Now()
	return true
}

// finish takes r's answer, and sends what its turn has come for.
func (c *Conn) finish(r *Request, a answer, hangup error) {
	if w := c.settle(r, a, hangup); w != nil {
		w.start()
	}
}

// settle takes r's answer. Where its turn has come and nobody writes, it returns
// the writer that the caller is to start.
func (c *Conn) settle(r *Request, a answer, hangup error) *writer {
	r.letGo()
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		a.release()
		return nil
	}
	r.answer, r.hangup, r.ready = a, hangup, true
	r.clock.finished = time.Now()
	if hangup != nil && r.overlaps {
		r.overlaps = false
		c.queue.exclusive++ // nothing starts after it any more
	}
	if c.writing || c.queue.head != r {
		c.mu.Unlock()
		return nil
	}
	c.writing = true
	c.mu.Unlock()
	return newWriter(c)
}

// takeReady hands the writer its next answers, after those it has sent. With nil
// the connection has no writer any more.
func (c *Conn) takeReady(sent *Request) *Request {
	c.mu.Lock()
	c.queue.answered(sent)
	var batch, dropped *Request
	if !c.closed {
		batch = c.queue.popReady()
	}
	if batch == nil {
		c.writing = false
		dropped = c.dropQueue()
	}
	c.changed.Broadcast()
	c.mu.Unlock()
	releaseReady(dropped)
	return batch
}

// dropQueue empties the queue of a closed connection that no writer works on; the
// caller, who holds mu, passes it to releaseReady afterwards. Who finishes a
// request from then on releases its answer.
func (c *Conn) dropQueue() *Request {
	if !c.closed || c.writing {
		return nil
	}
	list := c.queue.head
	c.queue = queue{}
	return list
}

// leave gives an unfinished writer to the connection's goroutine, if that is in
// the handler.
func (c *Conn) leave(w *writer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handling {
		c.left = w
	}
	return c.handling
}

// returned tells that r's handler came back, and finishes what was left to it.
func (c *Conn) returned(r *Request) {
	c.mu.Lock()
	if !r.ready {
		r.clock.returned = time.Now()
	}
	w := c.left
	c.handling, c.left = false, nil
	c.mu.Unlock()
	if w != nil {
		w.finish()
	}
}

// releaseReady releases the answers in a list that will not be sent.
func releaseReady(list *Request) {
	for r := list; r != nil; r = r.next {
		if r.ready {
			r.answer.release()
		}
	}
}
