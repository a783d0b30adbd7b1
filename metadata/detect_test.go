package metadata

import (
	"io/fs"
	"os"
	"slices"
	"testing"
	"testing/fstest"
)

const dmiDir = "class/dmi/id/"

func sysfs(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, content := range files {
		m[name] = &fstest.MapFile{Data: []byte(content + "\n")}
	}
	return m
}

func TestDetect(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  Cloud
	}{
		{"nothing at all", nil, CloudNone},
		{"Nitro", map[string]string{dmiDir + "sys_vendor": "Amazon EC2", dmiDir + "board_asset_tag": "i-0123456789abcdef0", dmiDir + "bios_version": "1.0"}, CloudEC2},
		{"Nitro by its tag", map[string]string{dmiDir + "board_asset_tag": "i-0123456789abcdef0"}, CloudEC2},
		{"old short tag", map[string]string{dmiDir + "board_asset_tag": "i-0a1b2c3d"}, CloudEC2},
		{"a tag that only looks so", map[string]string{dmiDir + "board_asset_tag": "i-room-7"}, CloudNone},
		{"no tag", map[string]string{dmiDir + "board_asset_tag": "Not Specified"}, CloudNone},
		{"Xen by its BIOS", map[string]string{dmiDir + "sys_vendor": "Xen", dmiDir + "bios_version": "4.11.amazon"}, CloudEC2},
		{"Xen by the hypervisor", map[string]string{"hypervisor/uuid": "ec2e1916-9099-7caf-fd21-012345abcdef"}, CloudEC2},
		{"Xen by the firmware", map[string]string{dmiDir + "sys_vendor": "Xen", dmiDir + "product_uuid": "EC2E1916-9099-7CAF-FD21-012345ABCDEF"}, CloudEC2},
		{"Xen, little-endian", map[string]string{dmiDir + "sys_vendor": "Xen", dmiDir + "product_uuid": "45E12AEC-DCD1-B213-94ED-012345ABCDEF"}, CloudEC2},
		{"another Xen", map[string]string{dmiDir + "sys_vendor": "Xen", dmiDir + "bios_version": "4.17", "hypervisor/uuid": "ab2e1916-9099-7caf-fd21-012345abcdef"}, CloudNone},
		{"dom0", map[string]string{"hypervisor/uuid": "00000000-0000-0000-0000-000000000000"}, CloudNone},
		{"a server with such a UUID", map[string]string{dmiDir + "sys_vendor": "Dell Inc.", dmiDir + "product_uuid": "ec2e1916-9099-7caf-fd21-012345abcdef"}, CloudNone},
		{"a short UUID", map[string]string{"hypervisor/uuid": "ec2"}, CloudNone},
		{"Azure", map[string]string{dmiDir + "sys_vendor": "Microsoft Corporation", dmiDir + "chassis_asset_tag": azureTag}, CloudAzure},
		{"Hyper-V at home", map[string]string{dmiDir + "sys_vendor": "Microsoft Corporation", dmiDir + "product_name": "Virtual Machine", dmiDir + "chassis_asset_tag": "1234-5678"}, CloudNone},
		{"GCE", map[string]string{dmiDir + "sys_vendor": "Google", dmiDir + "product_name": "Google Compute Engine"}, CloudGCE},
		{"OCI, which has no reader yet", map[string]string{dmiDir + "chassis_asset_tag": "OracleCloud.com"}, CloudNone},
		{"KVM", map[string]string{dmiDir + "sys_vendor": "QEMU", dmiDir + "product_uuid": "6c4f2c4e-4f5c-4d2a-9a0e-0123456789ab"}, CloudNone},
	} {
		if got := Detect(sysfs(tt.files)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// What each cloud's firmware says is no other's, with a reader or without.
func TestFirmware(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  Cloud
	}{
		{"Google", map[string]string{dmiDir + "sys_vendor": "Google", dmiDir + "product_name": "Google Compute Engine"}, CloudGCE},
		{"Google, an old machine type", map[string]string{dmiDir + "product_name": "Google"}, CloudGCE},
		{"Google by its serial number", map[string]string{dmiDir + "product_serial": "GoogleCloud-0123456789ABCDEF"}, CloudGCE},
		{"a Chromebook", map[string]string{dmiDir + "sys_vendor": "Google", dmiDir + "product_name": "Google Kohaku"}, CloudNone},
		{"Oracle", map[string]string{dmiDir + "sys_vendor": "QEMU", dmiDir + "chassis_asset_tag": "OracleCloud.com"}, CloudOCI},
		{"VirtualBox", map[string]string{dmiDir + "sys_vendor": "innotek GmbH", dmiDir + "board_vendor": "Oracle Corporation"}, CloudNone},
		{"Alibaba", map[string]string{dmiDir + "sys_vendor": "Alibaba Cloud", dmiDir + "product_name": "Alibaba Cloud ECS"}, CloudAliyun},
		{"Outscale, with a UUID like EC2's", map[string]string{dmiDir + "sys_vendor": "3DS Outscale", dmiDir + "product_name": "3DS Outscale VM", dmiDir + "product_uuid": "ec2e1916-9099-7caf-fd21-012345abcdef"}, CloudNone},
		{"Azure", map[string]string{dmiDir + "chassis_asset_tag": azureTag}, CloudAzure},
		{"EC2", map[string]string{dmiDir + "sys_vendor": "Amazon EC2"}, CloudEC2},
	} {
		sys := sysfs(tt.files)
		for _, p := range everyCloud() {
			if got := p.Detect != nil && p.Detect(sys); got != (p.Name == tt.want) {
				t.Errorf("%s is taken for %s: %v", tt.name, p.Name, got)
			}
		}
	}
}

// A machine with the marks of two clouds is in neither, and which they are is said.
func TestMarksOfTwoClouds(t *testing.T) {
	sys := sysfs(map[string]string{dmiDir + "sys_vendor": "Amazon EC2", dmiDir + "chassis_asset_tag": azureTag})
	if got, all := Detect(sys), Marks(sys); got != CloudNone || !slices.Equal(all, []Cloud{CloudEC2, CloudAzure}) {
		t.Errorf("%s of %v", got, all)
	}
}

// TestDetectOnDisk goes through a symbolic link, as /sys/class/dmi/id is one, and past files that
// can not be read: a folder stands for product_uuid, which only root may read.
func TestDetectOnDisk(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(dir+"/devices/virtual/dmi/id/chassis_asset_tag", 0o700))
	must(t, os.MkdirAll(dir+"/class/dmi", 0o700))
	must(t, os.Symlink("../../devices/virtual/dmi/id", dir+"/class/dmi/id"))
	must(t, os.WriteFile(dir+"/class/dmi/id/sys_vendor", []byte("Amazon EC2\n"), 0o600))
	if got := Detect(os.DirFS(dir)); got != CloudEC2 {
		t.Errorf("got %s", got)
	}
	if got := Detect(os.DirFS(dir + "/nowhere")); got != CloudNone {
		t.Errorf("no sysfs: %s", got)
	}
}
