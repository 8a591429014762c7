package main

import (
	"bufio"
	"fmt"
	"os"
	"syscall"
)

// A virtual machine may give memory that is free back to its host, within seconds
// (Linux, Documentation/mm/free_page_reporting.rst). When a page of it is touched again the
// host has to find one: of 16 seconds that a gigabyte took to be built 5 were seen to be
// that, more or less of them in each run. So where a run touches gigabytes, they are got from
// the host before.

// given has the machine hold as much free memory as it can, of n bytes.
func given(n int64) error {
	if n = min(n, available()/2); n <= 0 {
		return nil
	}
	memory, err := syscall.Mmap(-1, 0, int(n), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return err
	}
	for at := 0; at < len(memory); at += os.Getpagesize() {
		memory[at] = 1
	}
	return syscall.Munmap(memory)
}

// available returns how many bytes of memory can be had without swapping (proc_meminfo(5)).
func available() int64 {
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var kib int64
		if _, err := fmt.Sscanf(lines.Text(), "MemAvailable: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
}
