// Package listener owns connections: it accepts them, reads requests from them
// and writes answers to them, in the order of the requests.
//
// Each connection has one goroutine, which reads a frame and calls the handler
// inline. The next request starts when all before it are answered; only requests
// that the handler says overlap (produces) may start while others of their kind
// are pending. An answer may come from any goroutine. Whoever makes the oldest
// pending answer ready writes as much as the socket takes at once; what it does
// not take is left to the connection's goroutine, or to one made for it, so that
// nobody but these ever waits for a slow client.
//
// What a handler postpones is done once for the requests that a client has sent
// together: before the connection's goroutine waits for anything (postpone.go).
//
// A client that its quota makes wait is answered at once, told how long, and not read
// meanwhile (mute.go). One whose address connects too often is closed, but not at once,
// so that it does not just try again (admit.go).
//
// Nothing from the network is believed before it is there: a frame's length is
// checked before memory is taken for it, memory grows with the bytes that
// arrive, and all requests of all listeners together share one [Budget].
//
// No lock is held while another is taken, a handler called or a socket used.
// [Listener.Run] returns when every goroutine of the package has ended.
package listener
