//go:build !linux

package processes

import "syscall"

// apart lets a child out of this process's group, so that Ctrl-C reaches it only by
// way of this one.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
