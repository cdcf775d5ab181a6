package listener

import (
	"net"
	"sync"
	"time"
)

// maxHeld bounds the connections that are to be closed later; more are closed at once.
const maxHeld = 1024

// awaitPace waits until the connection that was just accepted may be served. It reports
// false when the listener stops.
func (l *Listener) awaitPace() bool {
	if l.deps.Pace == nil {
		return true
	}
	wait := l.deps.Pace.Wait(l.config.Name)
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.stopped:
		return false
	}
}

// tooOften reports whether the socket's address connects too often. Then it is closed
// after a while: whoever tries again as soon as it is hung up on has to wait that long.
func (l *Listener) tooOften(socket net.Conn, conns *sync.WaitGroup) bool {
	if l.deps.Pace == nil {
		return false
	}
	wait := l.deps.Pace.CloseAfter(hostOf(socket.RemoteAddr()))
	if wait <= 0 {
		return false
	}
	l.deps.Metrics.ConnectionRefused("connection_rate")
	l.refusals.log(l.deps.Logger, "an address connects more often than its connection_creation_rate", "client", socket.RemoteAddr())
	select {
	case l.held <- struct{}{}:
		conns.Go(func() { l.hold(socket, wait) })
	default:
		socket.Close()
	}
	return true
}

// hold closes a socket after a while.
func (l *Listener) hold(socket net.Conn, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.stopped:
	}
	socket.Close()
	<-l.held
}

// admit makes a connection of socket, or closes it where there are too many.
func (l *Listener) admit(socket net.Conn) *Conn {
	host := hostOf(socket.RemoteAddr())
	c, refused := l.enlist(socket, host)
	if c == nil {
		l.deps.Metrics.ConnectionRefused(refused)
		socket.Close()
		l.refusals.log(l.deps.Logger, "too many connections; raise max.connections or max.connections.per.ip", "client", socket.RemoteAddr(), "limit", refused)
		return nil
	}
	l.deps.Metrics.ConnectionOpened()
	return c
}

// enlist returns the new connection, or which limit it would exceed.
func (l *Listener) enlist(socket net.Conn, host string) (c *Conn, refused string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if over(len(l.conns), l.config.MaxConnections) {
		return nil, "connections"
	}
	limit, own := l.config.MaxConnectionsOf[host]
	if own && l.perIP[host] >= limit || !own && over(l.perIP[host], l.config.MaxConnectionsPerIP) {
		return nil, "connections_per_ip"
	}
	c = newConn(l, socket, host)
	l.conns[c] = struct{}{}
	l.perIP[host]++
	return c, ""
}

// hostOf returns an address without its port.
func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

func over(count, limit int) bool { return limit > 0 && count >= limit }
