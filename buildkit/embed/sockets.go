//go:build linux

package embed

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// maxPacket is more than any packet on the control socket has.
const maxPacket = 64 << 10

// socketpair returns two connected sockets.
func socketpair(kind int) (a, b *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket"), nil
}

// unixConn turns a socket into a connection, and closes the file.
func unixConn(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("%T is no unix socket", conn)
	}
	return u, nil
}

// A handedListener accepts the connections that come over a control socket. It
// ends when that is closed at the other side.
type handedListener struct{ ctl *net.UnixConn }

var _ net.Listener = (*handedListener)(nil)

func (l *handedListener) Accept() (net.Conn, error) {
	for {
		buf, oob := make([]byte, len(wordDial)), make([]byte, unix.CmsgSpace(4))
		n, oobn, _, _, err := l.ctl.ReadMsgUnix(buf, oob)
		if err != nil {
			return nil, err
		}
		if n == 0 && oobn == 0 {
			return nil, io.EOF
		}
		if conn, err := handed(oob[:oobn]); err == nil {
			return conn, nil
		}
	}
}

// handed returns the connection that a control message carries.
func handed(oob []byte) (net.Conn, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	if len(messages) != 1 {
		return nil, errors.New("no connection in this packet")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fds[0])
	return unixConn(os.NewFile(uintptr(fds[0]), "socket"))
}

func (l *handedListener) Close() error   { return l.ctl.Close() }
func (l *handedListener) Addr() net.Addr { return l.ctl.LocalAddr() }
