package brokers

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process takes of the machine, as Linux counts it.
type Usage struct {
	CPU       time.Duration // since its start, in user and kernel
	Resident  int64         // bytes of memory, those of mapped files too
	Anonymous int64         // bytes of memory that no file stands behind
	Files     int           // open descriptors
}

// Usage returns what the broker's process takes now.
func (b *Broker) Usage() (Usage, error) {
	u, err := b.usage()
	if err != nil {
		return u, fmt.Errorf("ask what %s takes: %w", b.Name, err)
	}
	return u, nil
}

func (b *Broker) usage() (u Usage, err error) {
	if b.process == nil {
		return u, errors.New("it does not run")
	}
	proc := fmt.Sprintf("/proc/%d/", b.PID())
	if u.CPU, err = cpuTime(proc + "stat"); err != nil {
		return u, err
	}
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return u, err
	}
	if u.Resident, err = memoryLine(string(status), "VmRSS:"); err != nil {
		return u, err
	}
	if u.Anonymous, err = memoryLine(string(status), "RssAnon:"); err != nil {
		return u, err
	}
	files, err := os.ReadDir(proc + "fd")
	u.Files = len(files)
	return u, err
}

// clockTick is the unit in which Linux tells programs their CPU time, on every
// architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// cpuTime adds up the 14th and 15th field of a stat file, counted from behind
// the command's name, which may hold spaces.
func cpuTime(path string) (time.Duration, error) {
	stat, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, field := range []int{11, 12} {
		if len(fields) <= field {
			return 0, fmt.Errorf("%s has %d fields", path, len(fields))
		}
		n, err := strconv.ParseInt(fields[field], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// memoryLine returns the bytes that a line of a status file tells in kB.
func memoryLine(status, name string) (int64, error) {
	_, rest, found := strings.Cut(status, name)
	if !found {
		return 0, fmt.Errorf("no line %s", name)
	}
	fields := strings.Fields(rest)
	if len(fields) < 2 || fields[1] != "kB" {
		return 0, fmt.Errorf("the line %s is not in kB", name)
	}
	kB, err := strconv.ParseInt(fields[0], 10, 64)
	return kB << 10, err
}
