package record

import "encoding/binary"

// reader takes records off the front of uncompressed bytes.
type reader struct {
	rest []byte
}

// record reads the next record into r, whose Headers it uses again. It returns what is wrong, or "".
func (in *reader) record(r *Record) string {
	size, ok := in.varint()
	if !ok || size < 0 || int(size) > len(in.rest) {
		return "length reaches past the end"
	}
	body := reader{in.rest[:size]}
	in.rest = in.rest[size:]
	if why := body.fields(r); why != "" {
		return why
	}
	if why := body.headers(r); why != "" {
		return why
	}
	if len(body.rest) > 0 {
		return "bytes after the last header"
	}
	return ""
}

// fields reads all before the headers.
func (in *reader) fields(r *Record) string {
	if len(in.rest) == 0 {
		return "no attributes"
	}
	r.Attributes = int8(in.rest[0])
	in.rest = in.rest[1:]
	var ok bool
	if r.TimestampDelta, ok = in.varlong(); !ok {
		return "malformed timestamp"
	}
	if r.OffsetDelta, ok = in.varint(); !ok {
		return "malformed offset"
	}
	if r.Key, ok = in.bytes(); !ok {
		return "key reaches past the end"
	}
	if r.Value, ok = in.bytes(); !ok {
		return "value reaches past the end"
	}
	return ""
}

func (in *reader) headers(r *Record) string {
	count, ok := in.varint()
	// A header takes two bytes at least, so the count is proven before the slice grows by it.
	if !ok || count < 0 || int(count) > len(in.rest)/2 {
		return "more headers than bytes"
	}
	r.Headers = r.Headers[:0]
	for range count {
		var h Header
		if h.Key, ok = in.bytes(); !ok || h.Key == nil {
			return "header key is null or reaches past the end"
		}
		if h.Value, ok = in.bytes(); !ok {
			return "header value reaches past the end"
		}
		r.Headers = append(r.Headers, h)
	}
	return ""
}

// bytes reads a length and that many bytes; nil when the length is negative.
func (in *reader) bytes() (b []byte, ok bool) {
	size, ok := in.varint()
	if !ok || int(size) > len(in.rest) {
		return nil, false
	}
	if size < 0 {
		return nil, true
	}
	b, in.rest = in.rest[:size:size], in.rest[size:]
	return b, true
}

// varint reads a zigzag number of at most 5 bytes. Bits beyond 32 are dropped, as the Java client does.
func (in *reader) varint() (int32, bool) {
	u, n := binary.Uvarint(in.rest)
	if n <= 0 || n > 5 {
		return 0, false
	}
	in.rest = in.rest[n:]
	v := uint32(u)
	return int32(v>>1) ^ -int32(v&1), true
}

// varlong reads a zigzag number of at most 10 bytes.
func (in *reader) varlong() (int64, bool) {
	u, n := binary.Uvarint(in.rest)
	if n <= 0 {
		return 0, false
	}
	in.rest = in.rest[n:]
	return int64(u>>1) ^ -int64(u&1), true
}
