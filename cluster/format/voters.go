package format

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// votersFile holds the first voters of a dynamic cluster.
const votersFile = "bootstrap.voters"

// votersVersion is the file's first line.
const votersVersion = "0"

// Voters are those with which the cluster of a node begins: those that its
// configuration lists, or those that were written when its folders were formatted.
// There are none where the node joins a cluster that has begun.
func Voters(fsys disk.FS, c *config.Broker) ([]metadata.Voter, error) {
	if len(c.Voters) == 0 {
		return readVoters(fsys, c.MetadataLogDir)
	}
	var all []metadata.Voter
	for _, v := range c.Voters {
		at := metadata.Endpoint{Listener: c.ControllerListenerNames[0], Host: v.Host, Port: v.Port}
		all = append(all, metadata.Voter{ID: v.ID, Endpoints: []metadata.Endpoint{at}})
	}
	return all, nil
}

// ParseControllers reads "1@host:port:directory,…": voters, where their controllers
// listen, and the ids of the folders that are to hold their metadata. listener is
// the listener's name.
func ParseControllers(list, listener string) ([]metadata.Voter, error) {
	var all []metadata.Voter
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		colon := max(0, strings.LastIndexByte(item, ':'))
		one, err := config.ParseVoters(item[:colon])
		if err != nil || len(one) != 1 {
			return nil, fmt.Errorf("the initial controller %q: want ID@host:port:directory, as in 1@localhost:9093:%s", item, protocol.NewTopicID())
		}
		directory, err := protocol.ParseTopicID(item[colon+1:])
		if err != nil || directory.IsZero() {
			return nil, fmt.Errorf("the initial controller %q: the directory id should be what klamm uuid prints, as %s", item, protocol.NewTopicID())
		}
		at := metadata.Endpoint{Listener: listener, Host: one[0].Host, Port: one[0].Port}
		all = append(all, metadata.Voter{ID: one[0].ID, DirectoryID: directory, Endpoints: []metadata.Endpoint{at}})
	}
	return all, checkDistinct(all)
}

func checkDistinct(voters []metadata.Voter) error {
	for i, v := range voters {
		for _, other := range voters[:i] {
			if v.ID == other.ID || v.DirectoryID == other.DirectoryID {
				return fmt.Errorf("the initial controllers have node %d or the directory id %s twice", v.ID, protocol.TopicID(v.DirectoryID))
			}
		}
	}
	return nil
}

// writeVoters replaces the file in a folder; without voters there is to be none.
func writeVoters(fsys disk.FS, folder string, voters []metadata.Voter) error {
	path := filepath.Join(folder, votersFile)
	if len(voters) == 0 {
		if err := fsys.RemoveAll(path); err != nil {
			return fmt.Errorf("remove %s: %w", path, err)
		}
		return nil
	}
	lines := []string{votersVersion, strconv.Itoa(len(voters))}
	for _, v := range voters {
		at := config.Endpoint{Listener: v.Endpoints[0].Listener, Host: v.Endpoints[0].Host, Port: v.Endpoints[0].Port}
		lines = append(lines, fmt.Sprintf("%d %s %s://%s", v.ID, protocol.TopicID(v.DirectoryID), at.Listener, at.Address()))
	}
	return disk.WriteFileAtomic(fsys, path, []byte(strings.Join(lines, "\n")+"\n"))
}

// readVoters reads the file; where it is not there, there are none.
func readVoters(fsys disk.FS, folder string) ([]metadata.Voter, error) {
	path := filepath.Join(folder, votersFile)
	raw, err := fsys.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the first voters: %w", err)
	}
	voters, err := parseVoters(string(raw))
	if err != nil {
		return nil, fmt.Errorf("%s: %w; write it anew with what the other nodes have in theirs", path, err)
	}
	return voters, nil
}

func parseVoters(text string) ([]metadata.Voter, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != votersVersion {
		return nil, fmt.Errorf("line 1: want the version %s, not %q", votersVersion, lines[0])
	}
	if len(lines) < 3 || lines[1] != strconv.Itoa(len(lines)-2) {
		return nil, fmt.Errorf("line 2: want how many voters follow, which is %d", max(0, len(lines)-2))
	}
	var all []metadata.Voter
	for i, line := range lines[2:] {
		v, err := parseVoter(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+3, err)
		}
		all = append(all, v)
	}
	return all, checkDistinct(all)
}

func parseVoter(line string) (v metadata.Voter, err error) {
	fields := strings.SplitN(line, " ", 3)
	if len(fields) != 3 {
		return v, fmt.Errorf("want a node, a directory id and a listener, not %q", line)
	}
	listener, address, _ := strings.Cut(fields[2], "://")
	directory, err := protocol.ParseTopicID(fields[1])
	if err != nil {
		return v, fmt.Errorf("%q is no directory id", fields[1])
	}
	one, err := config.ParseVoters(fields[0] + "@" + address)
	if err != nil {
		return v, err
	}
	at := metadata.Endpoint{Listener: listener, Host: one[0].Host, Port: one[0].Port}
	return metadata.Voter{ID: one[0].ID, DirectoryID: directory, Endpoints: []metadata.Endpoint{at}}, nil
}
