//go:build unix

package solve

import "syscall"

// nonblock keeps an open from waiting, should a pipe have taken a file's place.
const nonblock = syscall.O_NONBLOCK
