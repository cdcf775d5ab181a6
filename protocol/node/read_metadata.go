package node

import "github.com/twmb/franz-go/pkg/kmsg"

// ReadMetadataRequest asks a voter for what was decided after an entry that the
// asking node has, and waits for it a while.
type ReadMetadataRequest struct {
	version0
	readMetadataKey

	NodeID int32 // who asks
	// Index and Term are those of the last entry that the node has, both 0 where it
	// has none.
	Index, Term   int64
	MaxWaitMillis int32 // how long the answer may wait for an entry to come
	// MaxBytes bounds the entries of the answer. The first one comes whatever its
	// size, and so does a snapshot.
	MaxBytes int32
	// DirectoryID is that of the folder in which the node has its part of the metadata.
	DirectoryID [16]byte
}

// AppendTo appends the request's body.
func (r *ReadMetadataRequest) AppendTo(dst []byte) []byte {
	dst = appendInt32(dst, r.NodeID)
	dst = appendInt64(dst, r.Index)
	dst = appendInt64(dst, r.Term)
	dst = appendInt32(dst, r.MaxWaitMillis)
	dst = appendInt32(dst, r.MaxBytes)
	return append(dst, r.DirectoryID[:]...)
}

// ReadFrom reads the request's body.
func (r *ReadMetadataRequest) ReadFrom(src []byte) error {
	from := reader{left: src}
	r.NodeID = from.int32()
	r.Index = from.int64()
	r.Term = from.int64()
	r.MaxWaitMillis = from.int32()
	r.MaxBytes = from.int32()
	copy(r.DirectoryID[:], from.take(len(r.DirectoryID)))
	return from.end("ReadMetadata request")
}

// ResponseKind returns an empty response.
func (*ReadMetadataRequest) ResponseKind() kmsg.Response { return new(ReadMetadataResponse) }

// ReadMetadataResponse has the entries that follow the one that was named. Where
// they are gone, or another entry has that index, it has a snapshot instead.
type ReadMetadataResponse struct {
	version0
	readMetadataKey

	ErrorCode    int16
	ErrorMessage *string
	LeaderID     int32 // of the quorum, -1 where it is not known
	LeaderEpoch  int32
	// HighWatermark is the offset up to which the quorum has decided, as far as the
	// node that answers knows.
	HighWatermark int64
	Snapshot      []byte // of the metadata; nil: none
	Entries       []Entry
}

// Entry is one decision of the quorum.
type Entry struct {
	Index, Term int64
	Decision    []byte // its metadata records, empty where there are none
}

// leastEntry is how many bytes an entry takes at least.
const leastEntry = 8 + 8 + 4

// AppendTo appends the response's body.
func (r *ReadMetadataResponse) AppendTo(dst []byte) []byte {
	dst = appendInt16(dst, r.ErrorCode)
	dst = appendNullableText(dst, r.ErrorMessage)
	dst = appendInt32(dst, r.LeaderID)
	dst = appendInt32(dst, r.LeaderEpoch)
	dst = appendInt64(dst, r.HighWatermark)
	dst = appendNullableBlob(dst, r.Snapshot)
	dst = appendInt32(dst, int32(len(r.Entries)))
	for i := range r.Entries {
		e := &r.Entries[i]
		dst = appendInt64(dst, e.Index)
		dst = appendInt64(dst, e.Term)
		dst = appendBlob(dst, e.Decision)
	}
	return dst
}

// ReadFrom reads the response's body. Byte slices alias it.
func (r *ReadMetadataResponse) ReadFrom(src []byte) error {
	from := reader{left: src}
	r.ErrorCode = from.int16()
	r.ErrorMessage = from.nullableText()
	r.LeaderID = from.int32()
	r.LeaderEpoch = from.int32()
	r.HighWatermark = from.int64()
	r.Snapshot = from.nullableBlob()
	r.Entries = make([]Entry, from.count(leastEntry))
	for i := range r.Entries {
		r.Entries[i] = Entry{Index: from.int64(), Term: from.int64(), Decision: from.blob()}
	}
	return from.end("ReadMetadata response")
}

// RequestKind returns an empty request.
func (*ReadMetadataResponse) RequestKind() kmsg.Request { return new(ReadMetadataRequest) }
