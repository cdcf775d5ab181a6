package listener

import "errors"

// lease returns memory for n bytes of a new request, and takes it from the budget.
func (c *Conn) lease(n int) (*buffer, error) {
	l, size := c.listener, sizeInPool(n)
	if !l.deps.Budget.take(size) {
		c.doPostponed()
		if err := l.deps.Budget.start(size, l.config.SlowTimeout, l.stopped); err != nil {
			return nil, endedByBudget(err)
		}
	}
	buf := getBuffer(n)
	buf.leased = size
	return buf, nil
}

// enlarge returns memory for n bytes, over those that buf holds, with buf's
// content. After an error it returns buf.
func (c *Conn) enlarge(buf *buffer, n int) (*buffer, error) {
	if n <= cap(buf.b) {
		buf.b = buf.b[:n]
		return buf, nil
	}
	l := c.listener
	c.doPostponed()
	more := sizeInPool(n) - buf.leased
	beyond, err := l.deps.Budget.grow(more, buf.beyond, l.config.SlowTimeout, l.stopped)
	if err != nil {
		return buf, endedByBudget(err)
	}
	grown := getBuffer(n)
	copy(grown.b, buf.b)
	grown.leased, grown.beyond = buf.leased+more, beyond
	buf.leased, buf.beyond = 0, false
	buf.put()
	return grown, nil
}

// discard gives memory and lease back; nil is nothing.
func (l *Listener) discard(buf *buffer) {
	if buf != nil {
		buf.settle(l.deps.Budget)
		buf.put()
	}
}

func endedByBudget(err error) error {
	if errors.Is(err, errStopping) {
		return ending{"stop", nil}
	}
	return ending{"memory", err}
}
