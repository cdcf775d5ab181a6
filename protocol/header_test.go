package protocol

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/test/wire"
)

// Every header that kmsg writes is read back, whatever the API and version, and
// what is left is the body. The one without a client id, that of the first
// ControlledShutdown, is no longer spoken.
func TestParseHeaderAgreesWithTheEncoder(t *testing.T) {
	for key := range int16(math.MaxInt16) {
		req := wire.Request(key)
		if known := req != nil; known != KnownKey(key) || known == (NameOf(key) == "Unknown") {
			t.Errorf("key %d is known: %v, its name is %s", key, KnownKey(key), NameOf(key))
		}
		if req == nil {
			continue
		}
		for version := range req.MaxVersion() + 1 {
			if key == int16(kmsg.ControlledShutdown) && version == 0 {
				continue
			}
			req.SetVersion(version)
			frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, req, 77)[4:]
			h, body, err := ParseHeader(frame)
			switch {
			case err != nil:
				t.Errorf("key %d version %d: %v", key, version, err)
			case h.Key != key || h.Version != version || h.CorrelationID != 77 || h.ClientID == nil || *h.ClientID != "me":
				t.Errorf("key %d version %d: read as %+v", key, version, h)
			case string(body) != string(req.AppendTo(nil)):
				t.Errorf("key %d version %d: the body is %x", key, version, body)
			}
		}
	}
}

// header is a request header with client id "me", then more.
func header(key, version int16, more ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = append(b, 0, 0, 0, 5, 0, 2, 'm', 'e')
	return append(b, more...)
}

func TestParseHeaderRefuses(t *testing.T) {
	withID := func(length uint16) []byte {
		b := header(3, 1)
		binary.BigEndian.PutUint16(b[8:], length)
		return b
	}
	for _, c := range []struct {
		name  string
		frame []byte
		want  error
	}{
		{"an empty frame", nil, ErrHeader},
		{"nine bytes", header(3, 1)[:9], ErrHeader},
		{"an unknown key", header(12345, 0), ErrUnknownKey},
		{"a negative key", header(-1, 0), ErrUnknownKey},
		{"a negative version", header(3, -1), ErrHeader},
		{"a client id longer than the frame", withID(3), ErrHeader},
		{"a client id of length -2", withID(0xfffe), ErrHeader},
		{"a flexible header without tags", header(3, 9), ErrHeader},
		{"a tag without a number", header(3, 9, 1), ErrHeader},
		{"a tag without a size", header(3, 9, 1, 0), ErrHeader},
		{"a tag longer than the frame", header(3, 9, 1, 0, 4, 1, 2, 3), ErrHeader},
		{"more tags than bytes", header(3, 9, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0), ErrHeader},
	} {
		if _, _, err := ParseHeader(c.frame); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestParseHeaderSkipsTagsAndTakesNull(t *testing.T) {
	h, body, err := ParseHeader(append([]byte{0, 3, 0, 9, 0, 0, 0, 5, 0xff, 0xff, 2, 0, 1, 'x', 200, 1, 0}, "body"...))
	if err != nil || h.ClientID != nil || string(body) != "body" {
		t.Errorf("got %+v, body %q, %v", h, body, err)
	}
}

// Response headers are flexible when requests are, but for ApiVersions.
func TestResponseHeaderFlexible(t *testing.T) {
	for _, c := range []struct {
		key, version int16
		want         bool
	}{
		{0, 8, false}, {0, 9, true}, {3, 8, false}, {3, 9, true},
		{18, 2, false}, {18, 3, false}, {18, 4, false},
		{17, 1, false}, {75, 0, true}, {12345, 9, false}, {-1, 0, false}, {30000, 0, false}, {30002, 0, false},
	} {
		if got := ResponseHeaderFlexible(c.key, c.version); got != c.want {
			t.Errorf("key %d version %d: %v", c.key, c.version, got)
		}
	}
}

func TestMaxVersion(t *testing.T) {
	for key, want := range map[int16]int16{0: 13, 18: 4, 30000: 0, 17: 1, 4: -1, -1: -1, 12345: -1} {
		if got := MaxVersion(key); got != want {
			t.Errorf("key %d: version %d, want %d", key, got, want)
		}
	}
}

func TestResponseBody(t *testing.T) {
	for _, c := range []struct {
		key, version int16
		rest, want   string
		err          error
	}{
		{3, 8, "body", "body", nil},
		{3, 9, "\x00body", "body", nil},
		{3, 9, "\x01\x00\x01xbody", "body", nil},
		{3, 9, "\x01\x00\x09x", "", ErrResponseHeader},
		{3, 9, "", "", ErrResponseHeader},
		{30002, 0, "body", "body", nil},
	} {
		if got, err := ResponseBody(c.key, c.version, []byte(c.rest)); string(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("key %d version %d, %q: got %q, %v", c.key, c.version, c.rest, got, err)
		}
	}
}
