// Package wire speaks the Kafka protocol request by request, with nothing of a
// client's comfort in the way: a test decides each byte that is sent and sees
// each byte that comes back.
package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Conn is one connection to a broker, for one goroutine.
type Conn struct {
	net.Conn
	correlation int32
}

// limit bounds how long one answer may take.
const limit = 30 * time.Second

// Dial connects to a broker at host:port.
func Dial(addr string) (*Conn, error) {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, fmt.Errorf("connect to the broker: %w", err)
	}
	return &Conn{Conn: c}, nil
}

// DialFrom connects to a broker as Dial does, from an address of this machine.
func DialFrom(host, addr string) (*Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to the broker from %s: %w", host, err)
	}
	return &Conn{Conn: c}, nil
}

// Frame returns req as it is sent: length, header, body at the version set in req.
func Frame(req kmsg.Request, correlation int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("klamm-test")).AppendRequest(nil, req, correlation)
}

// RoundTrip sends req at its version and returns the response at that version.
func (c *Conn) RoundTrip(req kmsg.Request) (kmsg.Response, error) {
	c.correlation++
	if err := c.Send(Frame(req, c.correlation)); err != nil {
		return nil, fmt.Errorf("send %s v%d: %w", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	body, err := c.Receive()
	if err != nil {
		return nil, fmt.Errorf("receive %s v%d: %w", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	return Decode(req, body)
}

// Send writes whole frames.
func (c *Conn) Send(frames []byte) error {
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	_, err := c.Write(frames)
	return err
}

// Receive reads one frame and returns it without its length: correlation id,
// the rest of the header, body.
func (c *Conn) Receive() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 4 || n > 1<<30 {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	frame := make([]byte, n)
	_, err := io.ReadFull(c, frame)
	return frame, err
}

// Decode reads the response to req from a frame that Receive returned.
func Decode(req kmsg.Request, frame []byte) (kmsg.Response, error) {
	const apiVersions = 18 // its response header is never flexible
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	body := frame[4:]
	if resp.IsFlexible() && req.Key() != apiVersions && len(body) > 0 {
		body = body[1:] // tagged fields of the header: none
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("decode %s v%d: %w", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	return resp, nil
}
