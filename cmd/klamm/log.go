package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klamm-io/klamm/storage/disk"
)

func newLogCommand(env *environment) *cobra.Command {
	return parentCommand("log", "Look into the files of logs: Klamm's or Kafka's, of a stopped or running broker",
		newLogDumpCommand(env),
		newLogVerifyCommand(env),
	)
}

// segmentSuffix ends the name of a segment's file of batches; before it are the
// digits of its first offset.
const (
	segmentSuffix = ".log"
	segmentDigits = 20
)

// isSegment tells a segment's file of batches from other files by its name.
func isSegment(path string) bool {
	stem, found := strings.CutSuffix(filepath.Base(path), segmentSuffix)
	return found && len(stem) == segmentDigits && allDigits(stem)
}

// shortFile is a file's name and its folder's, which is the partition's.
func shortFile(path string) string {
	return filepath.Join(filepath.Base(filepath.Dir(path)), filepath.Base(path))
}

// segmentsIn finds the segments that a path stands for: a segment's file, the
// folder of one partition, or a folder of such folders.
func segmentsIn(fsys disk.FS, path string) ([]string, error) {
	if strings.HasSuffix(path, segmentSuffix) {
		return []string{path}, nil
	}
	segments, folders, err := listFolder(fsys, path)
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		inside, _, err := listFolder(fsys, folder)
		if err != nil {
			return nil, err
		}
		segments = append(segments, inside...)
	}
	if len(segments) == 0 {
		return nil, fmt.Errorf("there are no segments in %s. Name a folder of logs (log.dirs), of one partition, or a .log file", path)
	}
	return segments, nil
}

func listFolder(fsys disk.FS, path string) (segments, folders []string, err error) {
	entries, err := fsys.ReadDir(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%w. Name a folder of logs (log.dirs), of one partition, or a .log file", err)
	}
	for _, entry := range entries {
		switch name := filepath.Join(path, entry.Name()); {
		case entry.IsDir():
			folders = append(folders, name)
		case isSegment(name):
			segments = append(segments, name)
		}
	}
	return segments, folders, nil
}
