package quorum

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// errDamaged says that the disk does not have what this node wrote to it.
var errDamaged = errors.New("it is damaged")

// loadOrForget loads what the node has. Where that is damaged, and the configuration
// names other voters, it has lost its disk: it becomes another voter, which has made no
// promises, and takes from the others what they decided. What it had is put aside.
func (q *Quorum) loadOrForget(deps Deps) error {
	err := q.load(deps)
	if _, named := q.config.staticVoter(q.config.NodeID); !errors.Is(err, errDamaged) || !named || len(q.config.Voters) == 1 {
		return err
	}
	q.logger.Error("the metadata is damaged here; this node takes it from the other voters, and votes again once they have agreed on it",
		"aside", q.journal.aside(), "err", err)
	if err := q.journal.forget(); err != nil {
		return fmt.Errorf("put aside what is damaged: %w", err)
	}
	q.config.Resumes = false // it begins no cluster
	return q.load(deps)
}

// aside is the folder in which forget leaves a copy of what there was.
func (j *journal) aside() string { return j.log.Path() + ".damaged" }

// forget begins the journal anew, for another voter. A stop in between leaves one that
// is damaged, or another voter's.
func (j *journal) forget() error {
	if err := j.copyAside(); err != nil {
		return err
	}
	if err := j.saveVote(&raftpb.HardState{}, protocol.NewTopicID()); err != nil {
		return err
	}
	snapshots, err := j.snapshots()
	for _, at := range snapshots {
		err = errors.Join(err, j.fs.Remove(j.snapshotFile(at)))
	}
	return errors.Join(err, j.log.StartAt(0))
}

// copyAside keeps the files for who may need them: there may be no other voter left.
func (j *journal) copyAside() error {
	entries, err := j.fs.ReadDir(j.log.Path())
	if err != nil {
		return err
	}
	if err := j.fs.Mkdir(j.aside()); err != nil {
		return err
	}
	for _, e := range entries {
		data, err := j.fs.ReadFile(j.log.Path() + "/" + e.Name())
		if err != nil {
			continue // what cannot be read cannot be kept
		}
		if err := disk.WriteFileAtomic(j.fs, j.aside()+"/"+e.Name(), data); err != nil {
			return err
		}
	}
	return nil
}
