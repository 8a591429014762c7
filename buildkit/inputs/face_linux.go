package inputs

import (
	"io/fs"
	"syscall"
)

// faceOf returns what changes when a file does, and whether that can be told.
func faceOf(info fs.FileInfo) (face, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return face{}, false
	}
	return face{
		Size: st.Size, Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(),
		Inode: st.Ino, Device: st.Dev, Mode: st.Mode,
	}, true
}
