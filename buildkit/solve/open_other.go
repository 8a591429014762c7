//go:build !unix

package solve

// nonblock has no meaning where no pipe can lie in a folder.
const nonblock = 0
