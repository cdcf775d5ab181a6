// Command floor does the least that any broker must do with a load, for what it costs
// to be compared with: it receives produces, computes each batch's CRC-32C and writes
// the batch to a file, which it does not flush; and it answers fetches by sendfile. It
// keeps no offsets and answers nothing else.
//
// It understands the requests of package load only, and what it answers is the same
// each time: the bytes are made beforehand.
package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/test/load"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "where to listen")
	dir := flag.String("dir", "", "folder of the files")
	flag.Parse()
	fmt.Fprintln(os.Stderr, "floor:", serve(*addr, *dir)) // it serves until it is killed
	os.Exit(1)
}

const (
	// fileMost is from what size on a file is written anew from its start.
	fileMost = 1 << 30
	// readBytes is how much there is for fetches to read.
	readBytes = 256 << 20
	// sendBuffer is what the kernel takes before a client has read it.
	sendBuffer = 256 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func serve(addr, dir string) error {
	fill, err := newFilled(filepath.Join(dir, "fetched"))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	for n := 0; ; n++ {
		socket, err := l.Accept()
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		go func() {
			defer socket.Close()
			c := client{socket: socket.(*net.TCPConn), name: filepath.Join(dir, "produced-"+strconv.Itoa(n)), fill: fill}
			if err := c.serve(); !errors.Is(err, io.EOF) {
				fmt.Fprintln(os.Stderr, "floor:", err)
			}
		}()
	}
}

// client is one connection.
type client struct {
	socket *net.TCPConn
	name   string // of the file that its batches go to
	fill   *filled

	frame   []byte
	batchAt int      // where in a produce's frame the batch is
	answer  []byte   // to a produce
	file    *os.File // that its batches go to
	end     int64    // of what was written
	source  *os.File // that its fetches are answered from
}

func (c *client) serve() error {
	if err := c.socket.SetWriteBuffer(sendBuffer); err != nil {
		return err
	}
	for {
		if err := c.receive(); err != nil {
			return err
		}
		var err error
		switch key := kmsg.Key(binary.BigEndian.Uint16(c.frame)); key {
		case kmsg.Produce:
			err = c.produce()
		case kmsg.Fetch:
			err = c.fetch()
		default:
			err = fmt.Errorf("%s is not served", key.Name())
		}
		if err != nil {
			return err
		}
	}
}

// receive reads one frame.
func (c *client) receive() error {
	var size [4]byte
	if _, err := io.ReadFull(c.socket, size[:]); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if cap(c.frame) < n {
		c.frame = make([]byte, n)
	}
	c.frame = c.frame[:n]
	_, err := io.ReadFull(c.socket, c.frame)
	return err
}

// decode reads the frame as a request, and returns its correlation id.
func (c *client) decode(req kmsg.Request) (correlation int32, err error) {
	h, body, err := protocol.ParseHeader(c.frame)
	if err != nil {
		return 0, err
	}
	req.SetVersion(h.Version)
	if err := req.ReadFrom(body); err != nil {
		return 0, fmt.Errorf("read a %s request: %w", kmsg.NameForKey(req.Key()), err)
	}
	return h.CorrelationID, nil
}

// produce checks the batch, which ends where the one of the first frame does, and
// writes it.
func (c *client) produce() error {
	if c.answer == nil {
		if err := c.begin(); err != nil {
			return err
		}
	}
	batch := record.Batch(c.frame[c.batchAt:])
	batch = batch[:batch.Size()]
	if crc32.Checksum(batch[21:], castagnoli) != binary.BigEndian.Uint32(batch[17:]) {
		return errors.New("a batch fails its checksum")
	}
	if c.end > fileMost {
		c.end = 0
	}
	n, err := c.file.WriteAt(batch, c.end)
	if err != nil {
		return fmt.Errorf("write a batch: %w", err)
	}
	c.end += int64(n)
	_, err = c.socket.Write(c.answer)
	return err
}

// begin makes ready for produces like the first.
func (c *client) begin() (err error) {
	req := kmsg.NewPtrProduceRequest()
	correlation, err := c.decode(req)
	if err != nil {
		return err
	}
	t := req.Topics[0]
	c.batchAt = bytes.Index(c.frame, t.Partitions[0].Records)
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	rt := kmsg.NewProduceResponseTopic()
	rt.Topic, rt.Partitions = t.Topic, []kmsg.ProduceResponseTopicPartition{kmsg.NewProduceResponseTopicPartition()}
	resp.Topics = append(resp.Topics, rt)
	c.answer = resp.AppendTo(head(correlation, true))
	binary.BigEndian.PutUint32(c.answer, uint32(len(c.answer)-4))
	c.file, err = os.Create(c.name)
	return err
}

// head is the header of a response, after room for its length.
func head(correlation int32, flexible bool) []byte {
	h := binary.BigEndian.AppendUint64(nil, uint64(uint32(correlation)))
	if flexible {
		h = append(h, 0)
	}
	return h
}

// filled is a file of batches for all fetches to read.
type filled struct {
	name    string
	size    int64
	batch   int64 // bytes of each
	records int64 // of each
}

// newFilled makes the file.
func newFilled(name string) (*filled, error) {
	batch := load.Batch(600, 100)
	f := &filled{name: name, batch: int64(len(batch)), records: int64(batch.Count())}
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	for f.size < readBytes {
		batch.SetBaseOffset(f.size / f.batch * f.records)
		if _, err := file.WriteAt(batch, f.size); err != nil {
			return nil, fmt.Errorf("fill %s: %w", name, err)
		}
		f.size += f.batch
	}
	return f, nil
}

// fetch answers with whole batches from the offset on.
func (c *client) fetch() (err error) {
	req := kmsg.NewPtrFetchRequest()
	correlation, err := c.decode(req)
	if err != nil {
		return err
	}
	if c.source == nil {
		if c.source, err = os.Open(c.fill.name); err != nil {
			return err
		}
	}
	from := req.Topics[0].Partitions[0].FetchOffset / c.fill.records * c.fill.batch
	size := min(int64(req.MaxBytes)/c.fill.batch*c.fill.batch, c.fill.size-from)
	if _, err := c.socket.Write(c.fill.head(req, correlation, size)); err != nil {
		return err
	}
	if _, err := c.source.Seek(from, io.SeekStart); err != nil {
		return err
	}
	_, err = c.socket.ReadFrom(&io.LimitedReader{R: c.source, N: size}) // sendfile
	return err
}

// head is all of a fetch's answer but for its records, which it ends with.
func (f *filled) head(req *kmsg.FetchRequest, correlation int32, size int64) []byte {
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	rt, rp := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
	rt.Topic, rp.HighWatermark = req.Topics[0].Topic, f.size/f.batch*f.records
	rt.Partitions = append(rt.Partitions, rp)
	resp.Topics = append(resp.Topics, rt)
	frame := resp.AppendTo(head(correlation, false))
	binary.BigEndian.PutUint32(frame[len(frame)-4:], uint32(size)) // the records' length, which comes last at version 11
	binary.BigEndian.PutUint32(frame, uint32(int64(len(frame)-4)+size))
	return frame
}
