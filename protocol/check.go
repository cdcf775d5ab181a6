package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrMalformed says that a request's body is not what its API and version make
// it.
var ErrMalformed = errors.New("malformed request")

// kind is how a field is written.
type kind int8

const (
	fixed1 kind = iota
	fixed2
	fixed4
	fixed8
	uuid
	text // a string
	blob // bytes, or records
	array
	object
)

// schema is one request.
type schema struct {
	name     string
	from, to int16
	flexible int16 // the first version with compact lengths and tagged fields (KIP-482)
	fields   []field
}

// field is one field of a request or of an object in it.
type field struct {
	name     string
	kind     kind
	of       kind // an array's elements
	from, to int16
	null     versions // that may leave it out
	tag      *tagged
	fields   []field // an object's, or those of an array's elements
}

// tagged says in which versions a field stands among the tagged fields.
type tagged struct {
	number   uint64
	versions versions
}

// versions are those from the first up to but not including the second.
type versions [2]int16

func (v versions) has(version int16) bool { return version >= v[0] && version < v[1] }

// Check walks the body of a request and proves every count and length in it
// against the bytes that are there, and that nothing is null which must not be.
// So a decoder that believes counts can be let at it. What follows the end of
// the body is not looked at, as in Kafka: librdkafka leaves bytes there when it
// asks for the metadata of all topics. It returns how many elements there are, which bounds what decoding
// allocates beyond the body's own size: those of arrays, and the tagged fields
// that nobody knows, which a decoder keeps too. It allocates nothing itself, but
// for an error, which wraps ErrMalformed and names the field.
func Check(key, version int16, body []byte) (elements int, err error) {
	s, known := schemas[key]
	if !known || version < s.from || version > s.to {
		return 0, fmt.Errorf("%w: no version %d of API %d", ErrMalformed, version, key)
	}
	w := walk{left: body, version: version, flexible: version >= s.flexible}
	if !w.object(s.fields) {
		return 0, fmt.Errorf("%w: %s version %d, field %s, byte %d of %d: %s",
			ErrMalformed, s.name, version, w.field, len(body)-len(w.left), len(body), w.problem)
	}
	return w.elements, nil
}

// MaxVersion returns the highest version of an API that is served, or -1 where none
// is. All nodes of a cluster serve the same.
func MaxVersion(key int16) int16 {
	if s, known := schemas[key]; known {
		return s.to
	}
	return -1
}

// walk is a Check on its way. Its methods report false where the body is wrong.
type walk struct {
	left     []byte
	version  int16
	flexible bool
	elements int
	field    string // where it went wrong
	problem  string
}

func (w *walk) fail(problem string) bool {
	if w.problem == "" {
		w.problem = problem
	}
	return false
}

func (w *walk) skip(n int) bool {
	if n > len(w.left) {
		return w.fail("it is cut short")
	}
	w.left = w.left[n:]
	return true
}

// object walks fields, and after them the tagged ones.
func (w *walk) object(fields []field) bool {
	for i := range fields {
		f := &fields[i]
		if w.version < f.from || w.version > f.to || f.tag != nil && f.tag.versions.has(w.version) {
			continue
		}
		if !w.value(f) {
			if w.field == "" {
				w.field = f.name
			}
			return false
		}
	}
	return !w.flexible || w.tags(fields)
}

func (w *walk) value(f *field) bool {
	if f.kind == array {
		return w.array(f)
	}
	return w.single(f, f.kind)
}

var fixedSize = [...]int{fixed1: 1, fixed2: 2, fixed4: 4, fixed8: 8, uuid: 16}

func (w *walk) single(f *field, k kind) bool {
	switch k {
	case text, blob:
		n, ok := w.length(k == text, f.null.has(w.version) && f.kind != array)
		return ok && w.skip(max(n, 0))
	case object:
		return w.inner(f)
	}
	return w.skip(fixedSize[k])
}

// inner walks an object; one that may be null begins with a byte that says so.
func (w *walk) inner(f *field) bool {
	if f.kind != object || !f.null.has(w.version) {
		return w.object(f.fields)
	}
	if len(w.left) == 0 {
		return w.fail("it is cut short")
	}
	there := int8(w.left[0])
	w.left = w.left[1:]
	switch there {
	case -1:
		return true
	case 1:
		return w.object(f.fields)
	}
	return w.fail("it is neither there nor null")
}

// array walks an array's elements, after proving that so many can be there.
func (w *walk) array(f *field) bool {
	count, ok := w.length(false, f.null.has(w.version))
	if !ok || count <= 0 {
		return ok
	}
	if least := w.least(f, f.of); least > 0 && count > len(w.left)/least {
		return w.fail("it counts more elements than the bytes that are left can hold")
	}
	w.elements += count
	for range count {
		if !w.single(f, f.of) {
			return false
		}
	}
	return true
}

// least is the smallest size of a field's value or element.
func (w *walk) least(f *field, k kind) int {
	switch k {
	case text:
		if w.flexible {
			return 1
		}
		return 2
	case blob, array:
		if w.flexible {
			return 1
		}
		return 4
	case object:
		return w.leastObject(f.fields)
	}
	return fixedSize[k]
}

func (w *walk) leastObject(fields []field) int {
	n := 0
	for i := range fields {
		f := &fields[i]
		if w.version < f.from || w.version > f.to || f.tag != nil && f.tag.versions.has(w.version) {
			continue
		}
		if f.kind == object && f.null.has(w.version) {
			n++
		} else {
			n += w.least(f, f.kind)
		}
	}
	if w.flexible {
		n++
	}
	return n
}

// length reads a length or a count; -1 is null.
func (w *walk) length(short, nullable bool) (n int, ok bool) {
	switch {
	case w.flexible:
		v, ok := w.uvarint()
		if !ok {
			return 0, false
		}
		if v > math.MaxInt32+1 {
			return 0, w.fail("its length is absurd")
		}
		n = int(v) - 1
	case short:
		if len(w.left) < 2 {
			return 0, w.fail("it is cut short")
		}
		n = int(int16(binary.BigEndian.Uint16(w.left)))
		w.left = w.left[2:]
	default:
		if len(w.left) < 4 {
			return 0, w.fail("it is cut short")
		}
		n = int(int32(binary.BigEndian.Uint32(w.left)))
		w.left = w.left[4:]
	}
	if n < -1 || n == -1 && !nullable {
		return 0, w.fail("it is null or negative and must not be")
	}
	return n, true
}

// uvarint reads a number of at most 32 bits, in at most the five bytes they need.
func (w *walk) uvarint() (uint64, bool) {
	v, n := binary.Uvarint(w.left)
	if n <= 0 || n > 5 || v > math.MaxUint32 {
		return 0, w.fail("it has no sound length")
	}
	w.left = w.left[n:]
	return v, true
}

// tags walks the tagged fields: those that are known as what they are, the
// others by their size.
func (w *walk) tags(fields []field) bool {
	count, ok := w.uvarint()
	if !ok || count > uint64(len(w.left)/2) {
		w.field = "tagged fields"
		return w.fail("it counts more than the bytes that are left can hold")
	}
	for range count {
		if !w.tag(fields) {
			if w.field == "" {
				w.field = "tagged fields"
			}
			return false
		}
	}
	return true
}

func (w *walk) tag(fields []field) bool {
	number, ok := w.uvarint()
	if !ok {
		return false
	}
	size, ok := w.uvarint()
	if !ok || size > uint64(len(w.left)) {
		return w.fail("it is cut short")
	}
	f := knownTag(fields, number)
	if f == nil {
		w.elements++
		return w.skip(int(size))
	}
	if !f.tag.versions.has(w.version) {
		w.field = f.name
		return w.fail("its tag is not one of this version")
	}
	after := w.left[size:]
	w.left = w.left[:size]
	if !w.value(f) {
		w.field = f.name
		return false
	}
	if len(w.left) > 0 {
		w.field = f.name
		return w.fail("its size is not that of its value")
	}
	w.left = after
	return true
}

// knownTag finds a tagged field by its number, which has one meaning in all
// versions: a version that does not have the field must not carry its tag.
func knownTag(fields []field, number uint64) *field {
	for i := range fields {
		if t := fields[i].tag; t != nil && t.number == number {
			return &fields[i]
		}
	}
	return nil
}
