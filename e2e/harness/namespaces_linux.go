package harness

import "syscall"

// namespaces puts a command into process, mount, network and IPC namespaces of its own.
func namespaces() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC,
		Setpgid:    true, // Ctrl-C is for the test
	}
}
