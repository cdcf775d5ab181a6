package quorum

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/klamm-io/klamm/storage/disk"
)

// voteFile holds what a node must not forget between two votes.
const voteFile = "quorum-state"

const voteVersion = 0

// vote is the file's content.
type vote struct {
	Version int    `json:"version"`
	Term    uint64 `json:"term"`
	Voted   int32  `json:"voted"`  // node id, -1 for nobody in this term
	Commit  uint64 `json:"commit"` // index up to which entries were known to be committed when the file was written
}

func (j *journal) saveVote(h *raftpb.HardState) error {
	data, err := json.Marshal(vote{Version: voteVersion, Term: h.GetTerm(), Voted: nodeOf(h.GetVote()), Commit: h.GetCommit()})
	if err != nil {
		return err
	}
	return disk.WriteFileAtomic(j.fs, filepath.Join(j.log.Path(), voteFile), append(data, '\n'))
}

// loadVote reads the file; one that is not there is a node that never voted.
func (j *journal) loadVote() (*raftpb.HardState, error) {
	path := filepath.Join(j.log.Path(), voteFile)
	data, err := j.fs.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &raftpb.HardState{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the vote: %w", err)
	}
	var v vote
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, fmt.Errorf("%s is damaged; restore it from a backup: %w", path, err)
	}
	if v.Version > voteVersion {
		return nil, fmt.Errorf("%s is of version %d, this version of Klamm knows %d; start the newer version that wrote it", path, v.Version, voteVersion)
	}
	return &raftpb.HardState{Term: proto.Uint64(v.Term), Vote: proto.Uint64(raftID(v.Voted)), Commit: proto.Uint64(v.Commit)}, nil
}
