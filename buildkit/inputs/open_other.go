//go:build !unix

package inputs

// nonblock has no meaning where no pipe can lie in a folder.
const nonblock = 0
