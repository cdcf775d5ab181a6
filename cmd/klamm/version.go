package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker for a release: -X main.version=1.2.3.
var version string

// build says which klamm this is.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from files that differ from the revision's
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersionCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say which klamm this is",
		Args:  arguments(0, 0),
	}
	output := addOutputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		b := thisBuild()
		t := newTable("VERSION", "REVISION", "GO", "PLATFORM")
		t.add(b.Version, b.revision(), b.Go, b.Platform)
		return env.show(*output, t, b)
	}
	return cmd
}

// thisBuild reads what the Go tool wrote into the binary.
func thisBuild() build {
	b := build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Revision = setting.Value
		case "vcs.modified":
			b.Modified = setting.Value == "true"
		}
	}
	return b
}

// revision is the commit in short, with a + where files differed from it.
func (b build) revision() string {
	mark := ""
	if b.Modified {
		mark = "+"
	}
	return fmt.Sprintf("%.12s%s", b.Revision, mark)
}

// softwareVersion is what klamm tells brokers, in the letters that KIP-511
// allows: it must begin and end with a letter or digit.
func softwareVersion() string {
	if version == "" {
		return "dev"
	}
	return version
}
