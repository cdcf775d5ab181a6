package quorum

import (
	"context"
	"fmt"
	"log/slog"
)

// raftLogger passes on what raft logs. Elections are what it calls information;
// to operators only the outcome is, which others log.
type raftLogger struct{ to *slog.Logger }

func (l raftLogger) log(level slog.Level, text string) {
	l.to.Log(context.Background(), level, "raft", "says", text)
}

func (l raftLogger) Debug(v ...any)              {}
func (l raftLogger) Debugf(string, ...any)       {}
func (l raftLogger) Info(v ...any)               { l.log(slog.LevelDebug, fmt.Sprint(v...)) }
func (l raftLogger) Infof(f string, v ...any)    { l.log(slog.LevelDebug, fmt.Sprintf(f, v...)) }
func (l raftLogger) Warning(v ...any)            { l.log(slog.LevelDebug, fmt.Sprint(v...)) }
func (l raftLogger) Warningf(f string, v ...any) { l.log(slog.LevelDebug, fmt.Sprintf(f, v...)) }
func (l raftLogger) Error(v ...any)              { l.log(slog.LevelError, fmt.Sprint(v...)) }
func (l raftLogger) Errorf(f string, v ...any)   { l.log(slog.LevelError, fmt.Sprintf(f, v...)) }
func (l raftLogger) Fatal(v ...any)              { panic(fmt.Sprint(v...)) }
func (l raftLogger) Fatalf(f string, v ...any)   { panic(fmt.Sprintf(f, v...)) }
func (l raftLogger) Panic(v ...any)              { panic(fmt.Sprint(v...)) }
func (l raftLogger) Panicf(f string, v ...any)   { panic(fmt.Sprintf(f, v...)) }
