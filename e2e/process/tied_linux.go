package process

import "syscall"

// tied makes the kernel kill the child when this process dies, and keeps the terminal's Ctrl-C from
// reaching the child before the test has cleaned up.
func tied() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
