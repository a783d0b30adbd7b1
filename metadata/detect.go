package metadata

import (
	"io/fs"
	"strings"
)

// Detect tells the cloud by what the firmware says of the machine, and never sends a packet. sys is
// the root of sysfs, os.DirFS("/sys"). What is missing or can not be read (product_uuid is root's
// alone) counts as empty. It is CloudNone too where Marks are several.
func Detect(sys fs.FS) Cloud {
	if all := Marks(sys); len(all) == 1 {
		return all[0]
	}
	return CloudNone
}

// Marks are the clouds, of those with a reader, that the firmware has a mark of: one at most, on every machine that
// we know of.
func Marks(sys fs.FS) (all []Cloud) {
	for _, p := range Providers() {
		if p.Detect != nil && !p.Trial && p.Detect(sys) {
			all = append(all, p.Name)
		}
	}
	return all
}

// dmi is a field of the firmware's tables, as the kernel shows it.
func dmi(sys fs.FS, name string) string { return line(sys, "class/dmi/id/"+name) }

// line is a file's content without the space around it.
func line(sys fs.FS, name string) string {
	b, err := fs.ReadFile(sys, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
