// Package format makes a node's folders those of a cluster, before the node starts
// for the first time, and tells with which voters the cluster begins.
//
// A cluster's voters are listed in the configuration of every node (static), or
// they may change while the cluster runs (dynamic). Of a dynamic cluster the first
// voters are written, when it is formatted, into the file bootstrap.voters of the
// metadata's folder. Once the cluster has agreed on its voters, neither counts any
// more. The file is drawn in docs/formats/log-files.md, and so is bootstrap.scram, which
// has the passwords of the first users.
//
// Invariant: a folder's meta.properties is written last, so a folder that says whose
// it is has all that it must have.
//
// The package starts no goroutines and has no locks; each folder is locked while it
// is formatted.
package format

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

// Request is what a node's folders are to be.
type Request struct {
	ClusterID string

	// At most one of these says how a dynamic cluster begins. A controller without
	// controller.quorum.voters needs one.
	Standalone           bool             // with this node as its one voter
	InitialControllers   []metadata.Voter // with these, of which this node may be one; see [ParseControllers]
	NoInitialControllers bool             // it has begun already, and this node joins it

	Credentials []security.ScramCredential // with which the cluster begins

	IgnoreFormatted bool // folders that are this node's in this cluster already may stay
}

// Folder is one of a node's folders.
type Folder struct {
	Path string
	log.Identity
	Stayed bool // it was formatted before
}

// Run formats the folders of the node that is set by c: those of log.dirs, and
// metadata.log.dir. Folders of another cluster or node are refused, before
// anything is written.
func Run(fsys disk.FS, c *config.Broker, r Request) ([]Folder, error) {
	if err := checkClusterID(r.ClusterID); err != nil {
		return nil, err
	}
	directory, voters, err := plan(c, r)
	if err != nil {
		return nil, err
	}
	all, err := look(fsys, c, r)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if err := name(&all[i], c, directory, r.Standalone); err != nil {
			return nil, err
		}
	}
	for _, f := range all {
		prepare := func() error { return nil }
		if f.isMetadata(c) {
			prepare = func() error {
				return errors.Join(firstVoters.write(fsys, f.Path, voters), firstCredentials.write(fsys, f.Path, r.Credentials))
			}
		}
		if f.Stayed {
			continue
		}
		if err := log.FormatFolder(fsys, f.Path, f.Identity, prepare); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// isMetadata reports whether the folder holds the cluster's metadata.
func (f Folder) isMetadata(c *config.Broker) bool { return f.Path == filepath.Clean(c.MetadataLogDir) }

// name gives a new folder an id: that of the metadata, directory, if it is not zero.
// One that stays must have it, unless it was made up for this node standing alone.
func name(f *Folder, c *config.Broker, directory protocol.TopicID, standalone bool) error {
	given := f.isMetadata(c) && !directory.IsZero()
	switch {
	case f.Stayed && given && f.DirectoryID != directory && !standalone:
		return fmt.Errorf("the folder %s has the directory id %s, the initial controllers give node %d %s: correct them, or empty the folder if you need none of its data",
			f.Path, f.DirectoryID, c.NodeID, directory)
	case f.Stayed:
	case given:
		f.DirectoryID = directory
	default:
		f.DirectoryID = protocol.NewTopicID()
	}
	return nil
}

// checkClusterID takes any id that can be read out on the phone. Kafka takes all.
func checkClusterID(id string) error {
	strange := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }
	if id == "" || len(id) > 255 || strings.ContainsFunc(id, strange) {
		return fmt.Errorf("the cluster id %q is none: want 1 to 255 characters without spaces, as klamm uuid prints", id)
	}
	return nil
}

// plan returns the voters that are to be written into the metadata's folder, and the
// id that they give it, zero where it may have any.
func plan(c *config.Broker, r Request) (directory protocol.TopicID, voters []metadata.Voter, err error) {
	dynamic := r.Standalone || len(r.InitialControllers) > 0
	switch {
	case !c.Roles.Set && (dynamic || r.NoInitialControllers):
		return directory, nil, errors.New("process.roles is not set, so this node is a cluster of its own and has no other controllers: set it, or leave the initial controllers out")
	case len(c.Voters) > 0 && dynamic:
		return directory, nil, errors.New("controller.quorum.voters lists the voters already: leave the initial controllers out, " +
			"or replace the key with controller.quorum.bootstrap.servers for voters that may change")
	case c.Roles.Set && c.Roles.Controller && len(c.Voters) == 0 && !dynamic && !r.NoInitialControllers:
		return directory, nil, errors.New("controller.quorum.voters is not set on this controller, so say how the cluster begins: with --standalone, " +
			"with --initial-controllers, or with --no-initial-controllers to join one that has begun")
	case r.Standalone:
		return planStandalone(c)
	}
	at := slices.IndexFunc(r.InitialControllers, func(v metadata.Voter) bool { return v.ID == c.NodeID })
	switch {
	case at >= 0 && !c.Roles.Controller:
		return directory, nil, fmt.Errorf("node %d is one of the initial controllers, but no controller by process.roles: add the role, or leave the node out", c.NodeID)
	case at >= 0:
		directory = r.InitialControllers[at].DirectoryID
	}
	return directory, r.InitialControllers, nil
}

func planStandalone(c *config.Broker) (directory protocol.TopicID, voters []metadata.Voter, err error) {
	if !c.Roles.Controller {
		return directory, nil, errors.New("this node is no controller by process.roles, so it cannot begin a cluster by itself: add the role, or leave --standalone out")
	}
	at := c.ControllerAdvertised[0]
	if at.Port == 0 {
		return directory, nil, fmt.Errorf("the controller's listener %s is on any free port, so nobody finds it: name a port in listeners or advertised.listeners", at.Listener)
	}
	directory = protocol.NewTopicID()
	return directory, []metadata.Voter{{ID: c.NodeID, DirectoryID: directory, Endpoints: []metadata.Endpoint{{Listener: at.Listener, Host: at.Host, Port: at.Port}}}}, nil
}

// look returns the node's folders, sorted by path, and as what those stay that are
// formatted already.
func look(fsys disk.FS, c *config.Broker, r Request) ([]Folder, error) {
	var all []Folder
	for _, path := range Paths(c) {
		is, err := log.ReadIdentity(fsys, path)
		switch {
		case err != nil:
			return nil, err
		case is.Formatted() && is.ClusterID != r.ClusterID:
			return nil, fmt.Errorf("the folder %s belongs to cluster %s, not to %s: name another folder with log.dirs, or empty it if you need none of its data", path, is.ClusterID, r.ClusterID)
		case is.Formatted() && is.NodeID != c.NodeID:
			return nil, fmt.Errorf("the folder %s belongs to node %d, not to %d: name another folder with log.dirs, or correct node.id", path, is.NodeID, c.NodeID)
		case is.Formatted() && !r.IgnoreFormatted:
			return nil, fmt.Errorf("the folder %s is formatted already; --ignore-formatted leaves it as it is and formats the others", path)
		case is.Formatted():
			all = append(all, Folder{Path: path, Identity: is, Stayed: true})
		default:
			all = append(all, Folder{Path: path, Identity: log.Identity{ClusterID: r.ClusterID, NodeID: c.NodeID}})
		}
	}
	return all, nil
}

// Paths are the folders of a node: those of log.dirs, and metadata.log.dir. They
// are sorted, and each is there once.
func Paths(c *config.Broker) []string {
	var all []string
	for _, path := range append(slices.Clone(c.LogDirs), c.MetadataLogDir) {
		all = append(all, filepath.Clean(path))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Check tells whether a node may start with its folders as they are: those of a
// node in a cluster must be formatted, or one whose disk is not there would take
// part as another that knows nothing. A node alone, and one that is its cluster's
// only voter by its configuration, format their folders themselves.
func Check(fsys disk.FS, c *config.Broker) error {
	if !c.Roles.Set || len(c.Voters) == 1 && c.Voters[0].ID == c.NodeID {
		return nil
	}
	for _, path := range Paths(c) {
		is, err := log.ReadIdentity(fsys, path)
		if err != nil {
			return err
		}
		if !is.Formatted() {
			return fmt.Errorf("the folder %s is not formatted: see to it that its disk is there; if it is new, run klamm format "+
				"with this node's configuration and the cluster's id", path)
		}
	}
	return nil
}
