package brokers

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel kill the process when this one ends without having
// ended it, as at a test's time-out.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
