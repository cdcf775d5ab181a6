package brokers

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// Klamm builds the broker of this tree and returns it, not started yet.
func Klamm(opts Options) (*Broker, error) {
	binary, err := BuildKlamm()
	if err != nil {
		return nil, err
	}
	b, err := newBroker("klamm", opts)
	if err != nil {
		return nil, err
	}
	settings := merged(map[string]string{
		"listeners":                        "PLAINTEXT://" + b.Addr,
		"log.dirs":                         b.Data,
		"klamm.http.listener":              "127.0.0.1:0",
		"group.initial.rebalance.delay.ms": "0",
	}, opts.Settings)
	args := []string{binary, "serve"}
	for _, key := range sortedKeys(settings) {
		args = append(args, "--set", key+"="+settings[key])
	}
	b.command = commandOf(args)
	return b, nil
}

// BuildKlamm builds the klamm binary into the cache, once for each process that asks,
// and returns its path.
var BuildKlamm = sync.OnceValues(func() (string, error) { return build("klamm") })

// Change is what another release of Klamm has in a file of this tree in place of what
// stands there.
type Change struct {
	File     string // slashes, from the tree's root; one that is not there is added
	Old, New string // Old stands there once; it is empty for a file that is added
}

// BuildOther builds the binary of another release, which is this tree but for some
// changes, and returns its path. The tree stays as it is.
func BuildOther(name string, changes ...Change) (string, error) {
	tree, err := Tree()
	if err != nil {
		return "", err
	}
	dir, err := Cache(filepath.Join("release", name))
	if err != nil {
		return "", err
	}
	files := map[string]string{} // what takes the place of the tree's files
	for i, c := range changes {
		at := filepath.Join(tree, filepath.FromSlash(c.File))
		text, err := changed(files, at, c)
		if err != nil {
			return "", fmt.Errorf("make %s of this tree: %w", name, err)
		}
		if files[at] == "" {
			files[at] = filepath.Join(dir, strconv.Itoa(i)+".go")
		}
		if err := os.WriteFile(files[at], []byte(text), 0o644); err != nil {
			return "", fmt.Errorf("make %s of this tree: %w", name, err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": files})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o644); err != nil {
		return "", fmt.Errorf("make %s of this tree: %w", name, err)
	}
	return build(name, "-overlay", list)
}

// changed returns a file with a change, on top of those that were made to it before.
func changed(files map[string]string, at string, c Change) (string, error) {
	if c.Old == "" {
		return c.New, nil
	}
	from := at
	if files[at] != "" {
		from = files[at]
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), c.Old); n != 1 {
		return "", fmt.Errorf("%s has %q %d times, want once", c.File, c.Old, n)
	}
	return strings.Replace(string(text), c.Old, c.New, 1), nil
}

func build(name string, flags ...string) (string, error) {
	tree, err := Tree()
	if err != nil {
		return "", err
	}
	dir, err := Cache("bin")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, name)
	build := exec.Command("go", append(append([]string{"build"}, flags...), "-o", binary, "./cmd/klamm")...)
	build.Dir = tree
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return binary, nil
}
