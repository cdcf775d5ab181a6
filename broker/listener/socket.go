package listener

import (
	"errors"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// sendfileLeast is from what size on a region goes from file to socket inside the
// kernel; below it a read and a copy cost less.
const sendfileLeast = 16 << 10

// descriptor gives access to a socket's descriptor. It is nil for a connection
// that is no plain socket: what encrypts, for one, has to see the bytes.
func descriptor(socket net.Conn) syscall.RawConn {
	plain, ok := socket.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := plain.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// try sends what the socket takes without waiting, and sets blocked where that is
// not all.
func (w *writer) try() {
	if w.conn.raw == nil {
		w.blocked = true // such a connection cannot tell whether it would wait
		return
	}
	w.throughKernel(false)
}

// wait sends all of the batch.
func (w *writer) wait() {
	if w.conn.raw != nil {
		w.throughKernel(true)
		return
	}
	w.throughStage()
}

func (w *writer) throughKernel(mayWait bool) {
	w.mayWait = mayWait
	if err := w.conn.raw.Write(w.toSocket); err != nil && w.err == nil {
		w.err = err
	}
}

// send makes system calls until all is sent or the socket takes no more. False
// has the poller wait until it does.
func (w *writer) send(fd uintptr) (done bool) {
	w.blocked = false
	for w.load() {
		err := w.sendSome(int(fd))
		switch {
		case err == nil || errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			w.blocked = true
			return !w.mayWait
		default:
			w.err = err
		}
	}
	return true
}

// sendSome makes one system call.
func (w *writer) sendSome(fd int) error {
	if len(w.vector) == 0 {
		return w.sendFile(fd)
	}
	var n int
	var err error
	if w.file == nil {
		n, err = unix.Writev(fd, w.vector)
	} else { // the region follows at once: one packet, not two
		n, err = unix.SendmsgBuffers(fd, w.vector, nil, nil, unix.MSG_MORE|unix.MSG_NOSIGNAL)
	}
	w.sent(max(n, 0))
	return err
}

// sendFile sends some of the file's region. The offset is handed in, so many
// connections can read one descriptor.
func (w *writer) sendFile(fd int) error {
	region := &w.file.Region
	file, _ := region.File.Fd()
	offset := region.Off
	n, err := unix.Sendfile(fd, int(file), &offset, region.Len)
	switch {
	case errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS):
		w.copies, w.file = true, nil // gather meets the region again, and reads it
		return nil
	case errors.Is(err, unix.EIO):
		return &fileError{region.File.Name(), region.Off, err}
	case err != nil:
		return err
	case n == 0:
		return &fileError{region.File.Name(), region.Off, io.ErrUnexpectedEOF}
	}
	w.file.advance(n)
	return nil
}
