//go:build unix

package inputs

import "syscall"

// nonblock keeps an open from waiting, should a pipe have taken a file's place.
const nonblock = syscall.O_NONBLOCK
