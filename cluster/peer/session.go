package peer

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol/node"
)

const (
	// helloEvery is how long a connection may be idle before this node says Hello again,
	// lest the other end closes it for being idle, or be gone without a word.
	helloEvery = 5 * time.Second
	// maxAnswer bounds an answer: a Fetch may have one batch that is as large as a request
	// may be, and more beside it.
	maxAnswer = 128 << 20
	// maxHelloAnswer bounds what is read of somebody who may be anybody.
	maxHelloAnswer = 64 << 10
	// believed is how far an answer's length is believed before its bytes are there.
	believed = 16 << 20
	// piece is how much of a large answer is to arrive within RequestTimeout.
	piece = 1 << 20
	// keptMost bounds the memory that is kept from one answer for the next.
	keptMost = 16 << 20
	// readSize is what is read at once of small answers.
	readSize = 16 << 10
)

// session is one connection, from the attempt to make it to its end.
type session struct {
	link   *link
	addr   string
	ctx    context.Context // ends with the connection; its cause says why
	cancel context.CancelCauseFunc
	since  time.Time // when it was established

	// Of the goroutine that establishes, then of the one that reads.
	in *bufio.Reader

	conn net.Conn // nil before it is connected

	// Guarded by link.mu.
	nextID     int32
	unanswered []*call // sent, oldest first
	heard      time.Time
}

func newSession(ctx context.Context, l *link, addr string) *session {
	s := &session{link: l, addr: addr}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	return s
}

// close ends the session, if it has not ended.
func (s *session) close() {
	s.cancel(errUnused)
	if s.conn != nil {
		s.conn.Close()
	}
}

// establish connects, and has this node greeted.
func (s *session) establish() error {
	config := &s.link.peers.config
	ctx, cancel := context.WithTimeout(s.ctx, config.DialTimeout)
	defer cancel()
	conn, err := s.link.peers.deps.Dial(ctx, s.link.lane, s.addr)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	s.conn, s.in = conn, bufio.NewReaderSize(conn, readSize)
	tune(conn)
	// Whatever ends the session ends what waits for its bytes.
	stop := context.AfterFunc(ctx, func() {
		conn.SetReadDeadline(time.Unix(1, 0))
		conn.SetWriteDeadline(time.Unix(1, 0))
	})
	err = s.greet()
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	context.AfterFunc(s.ctx, func() { conn.Close() })
	s.since = time.Now()
	s.heard = s.since
	return nil
}

// tune makes small messages leave at once, and a machine that is gone be noticed.
func tune(conn net.Conn) {
	if secured, is := conn.(interface{ NetConn() net.Conn }); is {
		conn = secured.NetConn()
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	// A socket that takes none of these is broken, and says so when it is used.
	_ = tcp.SetNoDelay(true)
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: time.Second, Count: 5})
}

// greet says who this node is, and reads who the other is.
func (s *session) greet() error {
	if _, err := s.conn.Write(s.link.peers.hello); err != nil {
		return err
	}
	size, id, err := s.readHead(maxHelloAnswer)
	if err != nil {
		return err
	}
	if id != 0 {
		return fmt.Errorf("it answers request %d", id)
	}
	body, err := s.readBody(size, nil)
	if err != nil {
		return err
	}
	return s.link.checkHello(body)
}

// refusalError is a node's sentence why it does not talk to this one.
type refusalError struct {
	sentence string
	code     error // Kafka's; nil: it is not who it should be
}

func (e *refusalError) Error() string { return e.sentence }
func (e *refusalError) Unwrap() error { return e.code }

// checkHello reads the body of the answer to a Hello.
func (l *link) checkHello(body []byte) error {
	var resp node.HelloResponse
	if err := resp.ReadFrom(body); err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		sentence := err.Error()
		if resp.ErrorMessage != nil {
			sentence = *resp.ErrorMessage + ": " + sentence
		}
		return &refusalError{sentence, err}
	}
	if l.node >= 0 && resp.NodeID != l.node {
		return &refusalError{sentence: fmt.Sprintf("node %d is there, and not node %d", resp.NodeID, l.node)}
	}
	return nil
}

// helloCall asks whether the other end is there.
func (s *session) helloCall() *call {
	frame := append([]byte(nil), s.link.peers.hello...)
	return &call{key: node.HelloKey, frame: frame, answered: true, hello: true}
}

// idle reports whether nothing was heard for long and nothing is to come. The caller
// holds link.mu.
func (s *session) idle(now time.Time) bool {
	return len(s.unanswered) == 0 && now.Sub(s.heard) >= helloEvery
}

// deadline is when the other end is to have said something: where it owes an answer,
// the patience counts from when it could begin with it. The caller holds link.mu.
func (s *session) deadline() time.Time {
	if len(s.unanswered) == 0 {
		return s.heard.Add(helloEvery)
	}
	from := s.unanswered[0].sent
	if from.Before(s.heard) {
		from = s.heard
	}
	return from.Add(s.link.peers.config.RequestTimeout)
}

// converse sends what is queued and hands out the answers until the connection ends,
// and returns why it did.
func (s *session) converse() error {
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		s.cancel(s.read())
	}()
	s.cancel(s.write())
	s.conn.Close()
	<-finished
	return context.Cause(s.ctx)
}

// write sends what is queued, whenever there is something.
func (s *session) write() error {
	timer := time.NewTimer(helloEvery)
	defer timer.Stop()
	alarm := time.Now().Add(helloEvery)
	for s.ctx.Err() == nil {
		now := time.Now()
		if s.link.overdue(s, now) {
			return fmt.Errorf("no answer in %s", s.link.peers.config.RequestTimeout)
		}
		frames, next := s.link.toSend(s, now)
		if err := s.send(frames, now); err != nil {
			return err
		}
		// An alarm that is too early does no harm, and is cheaper than one for each request.
		if next.Before(alarm) || !now.Before(alarm) {
			timer.Reset(time.Until(next))
			alarm = next
		}
		select {
		case <-s.link.kick:
		case <-timer.C:
			alarm = time.Time{}
		case <-s.ctx.Done():
		}
	}
	return context.Cause(s.ctx)
}

// send writes frames, as many as there are by one system call.
func (s *session) send(frames net.Buffers, now time.Time) error {
	if len(frames) == 0 {
		return nil
	}
	s.conn.SetWriteDeadline(now.Add(s.link.peers.config.RequestTimeout))
	if _, err := frames.WriteTo(s.conn); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// read hands out answers until there are no more.
func (s *session) read() error {
	for {
		size, id, err := s.readHead(maxAnswer)
		if err != nil {
			return err
		}
		memory, err := s.link.memoryFor(s, id)
		if err != nil {
			return err
		}
		body, err := s.readBody(size, memory)
		if err != nil {
			return err
		}
		c := s.link.answered(s)
		if c.hello {
			if err := s.link.checkHello(body); err != nil {
				return fmt.Errorf("say hello again: %w", err)
			}
		}
		c.finish(answer{body: body})
	}
}

// readHead reads the length and the correlation id that an answer begins with. It
// returns how much follows.
func (s *session) readHead(limit int) (size int, id int32, err error) {
	length, err := s.readNumber()
	if err != nil {
		return 0, 0, err
	}
	if length < 4 || int64(length) > int64(limit) {
		return 0, 0, fmt.Errorf("an answer of %d bytes, from 4 to %d are taken", length, limit)
	}
	number, err := s.readNumber()
	return int(length) - 4, int32(number), err
}

func (s *session) readNumber() (uint32, error) {
	var number [4]byte
	if _, err := io.ReadFull(s.in, number[:]); err != nil {
		return 0, hungUp(err)
	}
	return binary.BigEndian.Uint32(number[:]), nil
}

// readBody reads the rest of an answer to memory, or to twice as much where that is
// too small: so memory that is used again is soon enough.
func (s *session) readBody(size int, memory []byte) ([]byte, error) {
	body := memory[:0]
	if cap(memory) < size {
		body = make([]byte, 0, min(max(size, 2*cap(memory)), believed))
	}
	for len(body) < size {
		if len(body) == cap(body) {
			body = slices.Grow(body, min(size, 2*cap(body))-len(body))
		}
		to := min(size, cap(body), len(body)+piece)
		n, err := io.ReadFull(s.in, body[len(body):to])
		if err != nil {
			return nil, hungUp(err)
		}
		if body = body[:len(body)+n]; len(body) < size {
			s.link.heard(s)
		}
	}
	return body, nil
}

// hungUp says what the end of a stream means where more should come.
func hungUp(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the node closed the connection")
	}
	return fmt.Errorf("read: %w", err)
}
