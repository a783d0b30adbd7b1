package doctor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Options of linux/netfilter_ipv4/ip_tables.h, and the sizes of what they tell.
const (
	legacyInfo        = 64 // IPT_SO_GET_INFO: struct ipt_getinfo
	legacyEntries     = 65 // IPT_SO_GET_ENTRIES: struct ipt_get_entries
	legacyNameBytes   = 32 // XT_TABLE_MAXNAMELEN: of the name that both begin with
	legacyInfoBytes   = 84
	legacyEntriesFrom = 40 // where the entries begin
)

// legacyFile lists the tables of iptables-legacy that the network namespace has: the kernel makes one when it is first asked
// for, and who asks for another one makes it.
const legacyFile = "/proc/thread-self/net/ip_tables_names"

// readLegacy lists the chains FORWARD of iptables-legacy, with the rules of their tables. The error is of the kind unix.EPERM for those who may not ask.
func readLegacy() (out []Chain, err error) {
	names, err := os.ReadFile(legacyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s: %w", legacyFile, unix.EPERM)
	case err != nil:
		return nil, err
	}
	for _, table := range strings.Fields(string(names)) {
		if !slices.Contains([]string{"filter", "mangle", "security"}, table) { // raw and nat have no such chain
			continue
		}
		info, entries, err := askLegacy(table)
		if err != nil {
			return nil, fmt.Errorf("read the iptables-legacy table %s: %w", table, err)
		}
		c, err := parseLegacy(table, info, entries)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// askLegacy reads a table of IPv4: what the kernel says of it, and its entries.
func askLegacy(table string) (info, entries []byte, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	defer unix.Close(fd)
	name := append([]byte(table), make([]byte, legacyNameBytes-len(table))...)
	for range 8 { // a table that is changed between the two questions has another size then: EAGAIN
		info = append(slices.Clone(name), make([]byte, legacyInfoBytes-legacyNameBytes)...)
		if err = getsockopt(fd, legacyInfo, info); err != nil {
			return nil, nil, err
		}
		size := info[legacyInfoBytes-4:]
		entries = append(slices.Concat(name, size), make([]byte, legacyEntriesFrom-legacyNameBytes-len(size)+int(binary.NativeEndian.Uint32(size)))...)
		if err = getsockopt(fd, legacyEntries, entries); !errors.Is(err, unix.EAGAIN) {
			break
		}
	}
	return info, entries, err
}

// getsockopt is getsockopt(2) of an option whose question and answer have the same place, which the library does not have.
func getsockopt(fd, option int, value []byte) error {
	n := uint32(len(value))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_IP, uintptr(option),
		uintptr(unsafe.Pointer(&value[0])), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
