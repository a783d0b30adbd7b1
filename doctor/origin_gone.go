package doctor

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// goneFiles are what systemd-networkd goes by and what is not there any more, by ifindex, from its state
// (/run/systemd/netif/links). Who deletes such a file, as the removal of amazon-ec2-net-utils does, changes nothing yet.
func goneFiles(root fs.FS) map[int]string {
	out := map[int]string{}
	for _, state := range globs(root, "run/systemd/netif/links/*") {
		index, err := strconv.Atoi(path.Base(state))
		if err != nil {
			continue
		}
		for line := range strings.Lines(readSmall(root, state)) {
			file, ok := strings.CutPrefix(strings.TrimSpace(line), "NETWORK_FILE=/")
			if !ok || !fs.ValidPath(file) {
				continue
			}
			if _, err := fs.Stat(root, file); errors.Is(err, fs.ErrNotExist) {
				out[index] = "/" + file
			}
		}
	}
	return out
}

// gone: systemd-networkd has the route from a file that is not there any more, and writes it again at each renewal of the
// lease, until it is told to reload its files.
func (f FIB) gone(r Route) (file string, ok bool) {
	if len(r.Hops) == 0 || !slices.Contains([]uint8{unix.RTPROT_DHCP, unix.RTPROT_RA, unix.RTPROT_STATIC}, r.Protocol) {
		return "", false
	}
	file, ok = f.Origins.Gone[r.Hops[0].Index]
	return file, ok
}
