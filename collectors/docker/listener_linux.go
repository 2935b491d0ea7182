package docker

import (
	"net"
	"syscall"
)

// listenerOf returns the id of the process that listens at the other end of a unix socket, 0 if it can't be
// known, as for one of another namespace. It is that of the service manager if that made the socket.
func listenerOf(c net.Conn) (process int64) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { // it fails for a closed connection only
		if peer, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			process = int64(peer.Pid)
		}
	})
	return process
}
