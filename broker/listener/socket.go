package listener

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// sink is where answers go.
type sink interface {
	// send writes parts and releases those that were sent whole. It returns what
	// is left: where the socket takes no more now and mayWait is false, or with an
	// error.
	send(parts []Part, mayWait bool) (rest []Part, err error)
}

// newSink sends to the kernel without a copy where the socket allows it.
func newSink(socket net.Conn) sink {
	if tcp, ok := socket.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			return &kernelSink{raw: raw}
		}
	}
	return streamSink{socket}
}

// sendfileLeast is from what size on a region goes from file to socket inside the
// kernel; below it a read and a copy cost less.
const sendfileLeast = 16 << 10

// kernelSink writes to a socket's descriptor.
type kernelSink struct {
	raw syscall.RawConn
}

func (s *kernelSink) send(parts []Part, mayWait bool) (rest []Part, err error) {
	rest = parts
	rawErr := s.raw.Write(func(fd uintptr) bool {
		for len(rest) > 0 && err == nil {
			rest, err = sendSome(int(fd), rest)
		}
		if errors.Is(err, unix.EAGAIN) {
			err = nil
			return !mayWait // false lets the poller wait until the socket takes more
		}
		return true
	})
	return rest, errors.Join(err, rawErr)
}

// sendSome makes one system call, and releases the parts that it completed.
func sendSome(fd int, parts []Part) (rest []Part, err error) {
	if first := &parts[0]; first.Region.Len > 0 && len(first.Bytes) == 0 {
		if file, ok := first.Region.File.Fd(); ok && first.Region.Len >= sendfileLeast {
			return sendRegion(fd, int(file), parts)
		}
		if err := loadRegion(first); err != nil {
			return parts, err
		}
	}
	var vector [16][]byte
	n := 0
	for n < len(parts) && n < len(vector) && parts[n].Region.Len == 0 {
		vector[n] = parts[n].Bytes
		n++
	}
	flags := unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	if n < len(parts) {
		flags |= unix.MSG_MORE // a region follows at once: one packet, not two
	}
	sent, err := unix.SendmsgBuffers(fd, vector[:n], nil, nil, flags)
	if errors.Is(err, unix.EINTR) {
		err = nil
	}
	return advance(parts, max(sent, 0)), err
}

// sendRegion sends what it can of the region that parts begin with.
func sendRegion(fd, file int, parts []Part) ([]Part, error) {
	region := &parts[0].Region
	offset := region.Off
	n, err := unix.Sendfile(fd, file, &offset, region.Len)
	if errors.Is(err, unix.EINTR) {
		return parts, nil
	}
	if err != nil {
		return parts, err
	}
	if n == 0 {
		return parts, fmt.Errorf("send %s from position %d on: %w", region.File.Name(), region.Off, io.ErrUnexpectedEOF)
	}
	return advance(parts, n), nil
}

// loadRegion turns a region into bytes.
func loadRegion(p *Part) error {
	b := make([]byte, p.Region.Len)
	if _, err := p.Region.File.ReadAt(b, p.Region.Off); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s at position %d: %w", p.Region.File.Name(), p.Region.Off, err)
	}
	p.Bytes, p.Region.Len = b, 0
	return nil
}

// advance takes n sent bytes off parts, and releases those that are through.
func advance(parts []Part, n int) []Part {
	for len(parts) > 0 {
		p := &parts[0]
		if p.len() > n {
			if len(p.Bytes) > 0 {
				p.Bytes = p.Bytes[n:]
			} else {
				p.Region.Off, p.Region.Len = p.Region.Off+int64(n), p.Region.Len-n
			}
			return parts
		}
		n -= p.len()
		release(parts[:1])
		parts = parts[1:]
	}
	return parts
}

// streamSink writes to a connection that is no plain socket.
type streamSink struct{ net.Conn }

func (s streamSink) send(parts []Part, mayWait bool) ([]Part, error) {
	if !mayWait {
		return parts, nil // this kind of connection cannot tell whether it would wait
	}
	for len(parts) > 0 {
		p := &parts[0]
		if p.Region.Len > 0 {
			if err := loadRegion(p); err != nil {
				return parts, err
			}
		}
		n, err := s.Write(p.Bytes)
		if err != nil {
			p.Bytes = p.Bytes[n:]
			return parts, err
		}
		parts = advance(parts, n)
	}
	return parts, nil
}
