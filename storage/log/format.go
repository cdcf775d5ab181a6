package log

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/klamm-io/klamm/storage/disk"
)

// ReadIdentity reads whose the folder of logs at path is. One that is not there is
// new.
func ReadIdentity(fsys disk.FS, path string) (Identity, error) {
	m, err := readMetaProperties(fsys, filepath.Join(path, metaPropertiesFile))
	return m.Identity, err
}

// FormatFolder gives the new folder of logs at path, which is made if it is not
// there, an identity. prepare is called before, while the folder is held, to write
// what the folder must have from the moment on that it is somebody's. A folder
// that has an identity, or holds partitions without one, is refused.
func FormatFolder(fsys disk.FS, path string, id Identity, prepare func() error) (err error) {
	unlock, err := take(fsys, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	is, err := ReadIdentity(fsys, path)
	if err != nil {
		return err
	}
	if is.Formatted() {
		return fmt.Errorf("the folder %s belongs to node %d of cluster %s", path, is.NodeID, is.ClusterID)
	}
	held, err := folders(fsys, path)
	if err != nil {
		return err
	}
	if len(held) > 0 {
		return fmt.Errorf("the folder %s holds partitions (%s) but no %s, so it is not known whose they are: restore that file, or name an empty folder",
			path, held[0], metaPropertiesFile)
	}
	if err := prepare(); err != nil {
		return err
	}
	return writeMetaProperties(fsys, filepath.Join(path, metaPropertiesFile), metaProperties{Identity: id})
}
