package runtimes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/klamm-io/klamm/test/brokers"
)

// MissingError says which runtime this machine lacks.
type MissingError string

func (m MissingError) Error() string { return string(m) + " is missing" }

// Look returns a MissingError where one of the commands is not on the path.
func Look(names ...string) error {
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			return MissingError(name)
		}
	}
	return nil
}

// Command runs a step of a build in dir; its error has what the step printed.
func Command(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// Once runs install unless it ran before in dir for the same contents of lock.
func Once(dir, lock string, install func() error) error {
	wanted, err := os.ReadFile(lock)
	if err != nil {
		return fmt.Errorf("see what to install: %w", err)
	}
	mark := filepath.Join(dir, "installed")
	if have, err := os.ReadFile(mark); err == nil && string(have) == string(wanted) {
		return nil
	}
	if err := install(); err != nil {
		return err
	}
	return os.WriteFile(mark, wanted, 0o644)
}

// Python returns the interpreter of a virtual environment with the packages that
// test/compat/clients/python/requirements.txt names, a MissingError where this machine has
// no Python.
var Python = sync.OnceValues(func() (string, error) {
	if err := Look("python3"); err != nil {
		return "", err
	}
	if exec.Command("python3", "-c", "import venv, ensurepip").Run() != nil {
		return "", MissingError("python3's venv")
	}
	tree, err := brokers.Tree()
	if err != nil {
		return "", err
	}
	home, err := brokers.Cache("python")
	if err != nil {
		return "", err
	}
	wanted := filepath.Join(tree, "test", "compat", "clients", "python", "requirements.txt")
	return filepath.Join(home, "bin", "python"), Once(home, wanted, func() error {
		if err := Command(home, "python3", "-m", "venv", "--clear", home); err != nil {
			return err
		}
		return Command(home, filepath.Join(home, "bin", "pip"), "install", "-q", "-r", wanted)
	})
})
