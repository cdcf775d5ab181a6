package compress

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	zstdDefault = 3
	// zstdWindow is the greatest window a frame may ask for, that of the reference implementation's highest level. The window is
	// never set apart: it is the output itself.
	zstdWindow = 128 << 20
	// zstdFirstGuess times the packed size is the room first tried for a frame that does not tell its size.
	zstdFirstGuess = 4
)

// zstdWriters holds an encoder for each of the library's four levels, made when first asked for. Each keeps as many workers'
// memory as there are processors, and calls wait for a free one.
var zstdWriters [zstd.SpeedBestCompression + 1]struct {
	once sync.Once
	enc  *zstd.Encoder
	err  error
}

var zstdReader = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(0),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(zstdWindow),
		zstd.WithDecodeAllCapLimit(true))
})

// zstdWriter finds the encoder nearest to a level: below 3 the fastest, to 5 the default, to 9 the better, above that the best.
func zstdWriter(level int) (*zstd.Encoder, error) {
	speed := zstd.EncoderLevelFromZstd(level)
	w := &zstdWriters[speed]
	w.once.Do(func() {
		w.enc, w.err = zstd.NewWriter(nil,
			zstd.WithEncoderLevel(speed),
			zstd.WithLowerEncoderMem(true))
	})
	return w.enc, w.err
}

func appendZstd(dst []byte, level int, src []byte) ([]byte, error) {
	if len(src) == 0 {
		return append(dst, zstdEmpty...), nil
	}
	enc, err := zstdWriter(level)
	if err != nil {
		return dst, fmt.Errorf("zstd encoder: %w", err)
	}
	return enc.EncodeAll(src, dst), nil
}

// zstdEmpty is a frame without content, which the library would leave out altogether: one segment of size 0, one empty last block.
const zstdEmpty = "\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00"

// readZstd decodes straight into dst, whose room is the bound: when it is too small it is doubled and all is decoded again, so
// that what a frame claims costs nothing and decoding takes at most twice the time. With room kept from earlier calls it is once.
func readZstd(dst, src []byte, limit int) ([]byte, error) {
	dec, err := zstdReader()
	if err != nil {
		return dst, fmt.Errorf("zstd decoder: %w", err)
	}
	if len(src) == 0 {
		return dst, corrupt(Zstd, "no frame")
	}
	room := min(limit, max(zstdGuess(src), cap(dst)-len(dst)))
	for {
		dst = slices.Grow(dst, room)
		end := len(dst) + room
		out, err := dec.DecodeAll(src, dst[:len(dst):end])
		switch {
		case err == nil:
			return dst[:len(out)], nil
		case !errors.Is(err, zstd.ErrDecoderSizeExceeded):
			return dst, corrupt(Zstd, err)
		case room == limit:
			return dst, tooLarge(Zstd, limit)
		}
		room = min(limit, 2*room)
	}
}

// zstdGuess is the room to try first: what the first frame tells, if it does.
func zstdGuess(src []byte) int {
	var h zstd.Header
	if err := h.Decode(src); err == nil && h.HasFCS && h.FrameContentSize < zstdWindow {
		return int(h.FrameContentSize)
	}
	return zstdFirstGuess * len(src)
}
