package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klamm-io/klamm/broker"
	"github.com/klamm-io/klamm/config"
	"github.com/klamm-io/klamm/storage/disk"
)

func newServeCommand(env *environment) *cobra.Command {
	var file string
	var sets []string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a broker",
		Long: `Run a broker until it is told to stop (SIGINT, SIGTERM).

It is set by the keys of Kafka's server.properties: from a file, then from the
environment, where KLAMM_LOG_DIRS is log.dirs, then from --set; what comes later
wins. Alone it listens on 127.0.0.1:9092 and keeps its data in ./klamm-data.`,
		Example: `  klamm serve
  klamm serve --set listeners=PLAINTEXT://0.0.0.0:9092 --set log.dirs=/var/lib/klamm
  klamm serve --config /etc/klamm/server.properties`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, warnings, err := config.Load(file, os.Environ(), sets)
			if err != nil {
				return err
			}
			logger := newLogger(env.errOut, c)
			for _, w := range warnings {
				logger.Warn("configuration", "key", w.Key, "warning", w.Text)
			}
			return serve(cmd, c, logger)
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "a server.properties file")
	cmd.Flags().StringArrayVar(&sets, "set", nil, "key=value, over the file and the environment (may be repeated)")
	return cmd
}

// newLogger writes the broker's log as its configuration says.
func newLogger(to io.Writer, c *config.Broker) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.ToUpper(c.LogLevel))); err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}

func serve(cmd *cobra.Command, c *config.Broker, logger *slog.Logger) error {
	b, err := broker.New(c, broker.Deps{FS: disk.OS, Logger: logger, Version: thisBuild().Version})
	if err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	args := []any{"version", thisBuild().Version, "node_id", c.NodeID, "listener", b.Addr().String(), "log.dirs", c.LogDirs}
	if http := b.HTTPAddr(); http != nil {
		args = append(args, "http", http.String())
	}
	logger.Info("serving", args...)
	if err := b.Run(cmd.Context()); err != nil {
		return fmt.Errorf("the broker ended: %w", err)
	}
	logger.Info("stopped in order")
	return nil
}
