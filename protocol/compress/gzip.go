package compress

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// gzipDefault is what zlib takes for level -1. The library underneath would take 5.
const gzipDefault = 6

// gzipWriters keeps one pool for each level, since a writer cannot change its level.
var gzipWriters [10]sync.Pool

var gzipReaders = sync.Pool{New: func() any { return new(gzipReader) }}

// gzipReader is a reader with the source it reads from, so that both are kept together.
type gzipReader struct {
	gzip.Reader
	src bytes.Reader
}

// appendWriter collects what is written at the end of a slice.
type appendWriter struct{ b []byte }

func (w *appendWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

func appendGzip(dst []byte, level int, src []byte) ([]byte, error) {
	out := &appendWriter{dst}
	w, ok := gzipWriters[level].Get().(*gzip.Writer)
	if !ok {
		var err error
		if w, err = gzip.NewWriterLevel(out, level); err != nil {
			return dst, err
		}
	}
	w.Reset(out)
	if _, err := w.Write(src); err != nil {
		return dst, err
	}
	if err := w.Close(); err != nil {
		return dst, err
	}
	w.Reset(io.Discard) // lets go of out
	gzipWriters[level].Put(w)
	return out.b, nil
}

// readGzip reads one member after another, as many as there are.
func readGzip(dst, src []byte, limit int) ([]byte, error) {
	r := gzipReaders.Get().(*gzipReader)
	defer func() {
		r.src.Reset(nil)
		gzipReaders.Put(r)
	}()
	r.src.Reset(src)
	if err := r.Reset(&r.src); err != nil {
		return dst, corrupt(Gzip, err)
	}
	out, err := readAll(dst, r, limit, len(src))
	if errors.Is(err, errFull) {
		return dst, tooLarge(Gzip, limit)
	}
	if err != nil {
		return dst, corrupt(Gzip, err)
	}
	return out, nil
}

var errFull = errors.New("more than the limit")

// readAll appends all of r to dst. The room grows by doubling and never past limit, and a guess from the packed size comes first.
func readAll(dst []byte, r io.Reader, limit, packed int) ([]byte, error) {
	out, end := dst, len(dst)+limit
	out = slices.Grow(out, min(limit, 2*packed))
	for {
		if len(out) >= end {
			return out, expectEnd(r)
		}
		if len(out) == cap(out) {
			out = slices.Grow(out, min(end-len(out), max(len(out)-len(dst), 512)))
		}
		n, err := r.Read(out[len(out):min(cap(out), end)])
		out = out[:len(out)+n]
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
	}
}

// expectEnd reads on when the room is used up: the end must come without another byte.
func expectEnd(r io.Reader) error {
	var one [1]byte
	for {
		n, err := r.Read(one[:])
		switch {
		case n > 0:
			return errFull
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}
