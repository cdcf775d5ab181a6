package format

import (
	"fmt"
	"strings"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/storage/disk"
)

// firstVoters is the file that holds the first voters of a dynamic cluster.
var firstVoters = list[metadata.Voter]{
	file: "bootstrap.voters", version: "0", what: "voters", line: voterLine, parse: parseVoter, check: checkDistinct,
	rewrite: "write it anew with what the other nodes have in theirs",
}

// Voters are those with which the cluster of a node begins: those that its
// configuration lists, or those that were written when its folders were formatted.
// There are none where the node joins a cluster that has begun.
func Voters(fsys disk.FS, c *config.Broker) ([]metadata.Voter, error) {
	if len(c.Voters) == 0 {
		return firstVoters.read(fsys, c.MetadataLogDir)
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

func voterLine(v metadata.Voter) string {
	at := config.Endpoint{Listener: v.Endpoints[0].Listener, Host: v.Endpoints[0].Host, Port: v.Endpoints[0].Port}
	return fmt.Sprintf("%d %s %s://%s", v.ID, protocol.TopicID(v.DirectoryID), at.Listener, at.Address())
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
