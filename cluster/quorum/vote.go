package quorum

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"path/filepath"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// voteFile holds what a node must not forget between two votes.
const voteFile = "quorum-state"

const voteVersion = 0

// vote is the file's content.
type vote struct {
	Version int    `json:"version"`
	Term    uint64 `json:"term"`
	Voted   int32  `json:"voted"`               // node id, -1 for nobody in this term
	VotedID uint64 `json:"votedId,omitempty"`   // raft's id of that node, where its directory is part of it
	Commit  uint64 `json:"commit"`              // index up to which entries were known to be committed when the file was written
	Self    string `json:"directory,omitempty"` // of this node as a voter, empty for the zero id
	Sum     uint32 `json:"crc32c,omitempty"`    // of the file without this field; 0 where an earlier version wrote it
}

// saveVote keeps what this node promised as the voter with the given directory.
func (j *journal) saveVote(h *raftpb.HardState, self [16]byte) error {
	v := vote{Version: voteVersion, Term: h.GetTerm(), Voted: nodeOf(h.GetVote()), Commit: h.GetCommit()}
	if h.GetVote() > math.MaxUint32 {
		v.VotedID = h.GetVote()
	}
	if self != ([16]byte{}) {
		v.Self = protocol.TopicID(self).String()
	}
	sum, err := v.checksum()
	if err != nil {
		return err
	}
	v.Sum = sum
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return disk.WriteFileAtomic(j.fs, filepath.Join(j.log.Path(), voteFile), append(data, '\n'))
}

// checksum is what a sound file has as its checksum.
func (v vote) checksum() (uint32, error) {
	v.Sum = 0
	data, err := json.Marshal(v)
	return max(1, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))), err
}

// loadVote reads the file; one that is not there is a node that never took part.
func (j *journal) loadVote() (h *raftpb.HardState, self [16]byte, found bool, err error) {
	path := filepath.Join(j.log.Path(), voteFile)
	data, err := j.fs.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &raftpb.HardState{}, self, false, nil
	}
	if err != nil {
		return nil, self, false, fmt.Errorf("read the vote: %w", err)
	}
	var v vote
	err = json.Unmarshal(data, &v)
	if err == nil && v.Self != "" {
		var directory protocol.TopicID
		directory, err = protocol.ParseTopicID(v.Self)
		self = directory
	}
	if sum, wrong := v.checksum(); err == nil && wrong == nil && v.Sum != 0 && v.Sum != sum && v.Version <= voteVersion {
		err = fmt.Errorf("its checksum is %d, not %d", v.Sum, sum)
	}
	if err != nil {
		return nil, self, false, fmt.Errorf("%s: %w; restore it from a backup: %w", path, errDamaged, err)
	}
	if v.Version > voteVersion {
		return nil, self, false, fmt.Errorf("%s is of version %d, this version of Klamm knows %d; start the newer version that wrote it", path, v.Version, voteVersion)
	}
	voted := raftID(v.Voted, [16]byte{})
	if v.VotedID != 0 {
		voted = v.VotedID
	}
	return &raftpb.HardState{Term: proto.Uint64(v.Term), Vote: proto.Uint64(voted), Commit: proto.Uint64(v.Commit)}, self, true, nil
}
