package brokers

import (
	"fmt"
	"os/exec"
	"path/filepath"
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

// BuildKlamm builds the klamm binary into the cache and returns its path.
func BuildKlamm() (string, error) {
	tree, err := Tree()
	if err != nil {
		return "", err
	}
	dir, err := Cache("bin")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "klamm")
	build := exec.Command("go", "build", "-o", binary, "./cmd/klamm")
	build.Dir = tree
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build klamm: %w\n%s", err, out)
	}
	return binary, nil
}
