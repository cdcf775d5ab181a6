package log

import (
	"errors"
	"fmt"
	"sync"

	"github.com/klamm-io/klamm/storage/disk"
)

// errRetired says that a file was deleted before it could be opened.
var errRetired = errors.New("the file was deleted")

// handle is a file that is opened when it is needed and closed when nobody has
// used it for a while, so that a partition at rest costs no descriptor. It is
// safe for concurrent use.
type handle struct {
	fs   disk.FS
	name string

	mu sync.Mutex
	// Guarded by mu.
	file    disk.File
	users   int
	used    bool // since the last sweep
	retired bool
}

// acquire returns the open file. It stays open until release is called once.
func (h *handle) acquire() (disk.File, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.file == nil {
		if h.retired {
			return nil, fmt.Errorf("open %s: %w", h.name, errRetired)
		}
		file, err := h.fs.OpenFile(h.name)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", h.name, err)
		}
		h.file = file
	}
	h.users++
	h.used = true
	return h.file, nil
}

func (h *handle) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.users--
	if h.retired && h.users == 0 {
		h.close()
	}
}

// sweep closes the file if nobody used it since the last sweep.
func (h *handle) sweep() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users == 0 && !h.used {
		h.close()
	}
	h.used = false
}

// rest closes the file now, if nobody uses it.
func (h *handle) rest() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users == 0 {
		h.close()
	}
}

// retire closes the file as soon as its last user lets go; it cannot be opened
// again.
func (h *handle) retire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retired = true
	if h.users == 0 {
		h.close()
	}
}

// close forgets the file. What was written without an error and synced is on
// the disk; a close can add nothing to that, so its error has no consequence.
func (h *handle) close() {
	if h.file != nil {
		h.file.Close()
		h.file = nil
	}
}

// takeOver makes the open file of another handle this one's, whatever name it
// was opened with, and counts one user of it. The other forgets it.
func (h *handle) takeOver(other *handle) {
	other.mu.Lock()
	file := other.file
	other.file = nil
	other.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.file, h.users, h.used = file, 1, true
}
