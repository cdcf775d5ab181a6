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
	// zstdBlock is the most that one block of a frame decodes to. That much room is kept behind what is allowed, so that the
	// decoder runs out of room only after it has passed the limit, and is not mistaken for having met corrupt data.
	zstdBlock = 128 << 10
	// zstdBlockHeader is the least that a block takes.
	zstdBlockHeader = 3
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

// zstdReader decodes for all, with memory for as many calls at once as there are processors. It never writes past the capacity
// of what it is given.
var zstdReader = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(0),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(zstdWindow),
		zstd.WithDecodeAllCapLimit(true))
})

// readZstd decodes straight into dst, whose room is the bound. A frame that tells its size gets that much.
func readZstd(dst, src []byte, limit int) ([]byte, error) {
	dec, err := zstdReader()
	if err != nil {
		return dst, fmt.Errorf("zstd decoder: %w", err)
	}
	if len(src) == 0 {
		return dst, corrupt(Zstd, "no frame")
	}
	if size, told := zstdSize(src); told {
		if size > uint64(limit) {
			return dst, tooLarge(Zstd, limit)
		}
		if size > uint64(len(src))*(zstdBlock/zstdBlockHeader) {
			return dst, corrupt(Zstd, "frame claims more than it can hold")
		}
		dst = slices.Grow(dst, int(size))
		if out, err := dec.DecodeAll(src, dst[:len(dst):len(dst)+int(size)]); err == nil {
			return out, nil
		} // else there may be a further frame, which needs more room
	}
	return growZstd(dec, dst, src, limit)
}

// growZstd decodes frames that do not tell how much they hold in all. Room is guessed, and when it is too small it is doubled and
// all decoded again: what a frame claims costs nothing, and decoding takes at most about twice the time. With room kept from
// earlier calls it is once.
func growZstd(dec *zstd.Decoder, dst, src []byte, limit int) ([]byte, error) {
	room := min(limit, max(zstdFirstGuess*len(src), cap(dst)-len(dst)-zstdBlock))
	for {
		dst = slices.Grow(dst, room+zstdBlock)
		out, err := dec.DecodeAll(src, dst[:len(dst):len(dst)+room+zstdBlock])
		full := len(out)-len(dst) > room || errors.Is(err, zstd.ErrDecoderSizeExceeded)
		switch {
		case full && room == limit:
			return dst, tooLarge(Zstd, limit)
		case full:
			room = min(limit, 2*room)
		case err != nil:
			return dst, corrupt(Zstd, err)
		default:
			return out, nil
		}
	}
}

// zstdSize is what the first frame tells of its decoded size, if it does.
func zstdSize(src []byte) (size uint64, told bool) {
	var h zstd.Header
	err := h.Decode(src)
	return h.FrameContentSize, err == nil && h.HasFCS
}
