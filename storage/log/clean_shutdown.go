package log

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/klamm-io/klamm/storage/disk"
)

// cleanShutdown is what a folder says that was closed in order, in Kafka's form: a
// file that is there says so, and with which broker epoch (KIP-966).
type cleanShutdown struct {
	Version     int   `json:"version"`
	BrokerEpoch int64 `json:"brokerEpoch"`
}

// noBrokerEpoch is that of a broker that was not registered, or of one that did not
// say.
const noBrokerEpoch = -1

// takeCleanShutdown reads the file and removes it: from here on the folder is open.
func (d *Dir) takeCleanShutdown() error {
	d.cleanEpoch = noBrokerEpoch
	raw, err := d.fs.ReadFile(d.file(cleanShutdownFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", d.file(cleanShutdownFile), err)
	}
	d.clean = true
	// An older Kafka wrote an empty file. Without an epoch it is a clean shutdown of
	// nobody in particular.
	if said := (cleanShutdown{}); json.Unmarshal(raw, &said) == nil && said.BrokerEpoch >= 0 && said.Version == 0 {
		d.cleanEpoch = said.BrokerEpoch
	}
	if err := d.remove(d.file(cleanShutdownFile)); err != nil {
		return err
	}
	return d.fs.SyncDir(d.path)
}

func (d *Dir) writeCleanShutdown() error {
	d.mu.Lock()
	raw, err := json.Marshal(cleanShutdown{BrokerEpoch: d.brokerEpoch})
	d.mu.Unlock()
	if err != nil {
		return fmt.Errorf("write %s: %w", d.file(cleanShutdownFile), err)
	}
	return disk.WriteFileAtomic(d.fs, d.file(cleanShutdownFile), raw)
}

// CleanBrokerEpoch is the epoch of the broker that closed the folder in order, -1
// where it was not closed so or the broker was not registered.
func (d *Dir) CleanBrokerEpoch() int64 { return d.cleanEpoch }

// SetBrokerEpoch notes the epoch that [Dir.Close] leaves for the next start.
func (d *Dir) SetBrokerEpoch(epoch int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.brokerEpoch = epoch
}
