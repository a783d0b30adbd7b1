package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"ec2net/test/lab/labtest"
)

// Only the same name with other characters is a name that systemd does not know.
func TestNamedForSystemd(t *testing.T) {
	for _, c := range []struct{ alias, name, says string }{
		{"/sys/subsystem/net/devices/ens6", "ens6", ""},
		{"/sys/subsystem/net/devices/a__b__c_", "a$(b)`c`", "udev tells it that the interface is a__b__c_: give it another name, or run: ec2net run 'a$(b)`c`'"},
		{"/sys/subsystem/net/devices/a_b", "a'b", `ec2net run 'a'\''b'`},
		{"/sys/subsystem/net/devices/a$(b)`c` /sys/other", "a$(b)`c`", ""},
		{"/sys/subsystem/net/devices/ens7", "ens6", ""}, // before it was renamed
		{"", "ens6", ""},
	} {
		tree := fstest.MapFS{}
		if c.alias != "" {
			tree["run/udev/data/n3"] = &fstest.MapFile{Data: []byte("E:ID_NET_DRIVER=ena\nE:SYSTEMD_ALIAS=" + c.alias + "\n")}
		}
		err := NamedForSystemd(tree, c.name, 3)
		if (err == nil) != (c.says == "") || (err != nil && !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s, which systemd knows as %q: %v", c.name, c.alias, err)
		}
	}
}

// The end of the file is waited for, no longer than the limit or the context allow; without its folder there is nothing
// to wait for.
func TestAwaitRemoval(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "queue")
	if err := errors.Join(awaitRemoval(t.Context(), file, labtest.Hang), awaitRemoval(t.Context(), dir+"/none/queue", labtest.Hang)); err != nil {
		t.Errorf("nothing is there: %v", err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := awaitRemoval(t.Context(), file, time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it stays: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- awaitRemoval(ctx, file, labtest.Hang) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	go func() { ended <- awaitRemoval(t.Context(), file, labtest.Hang) }()
	other := filepath.Join(dir, "other")
	if err := errors.Join(os.WriteFile(other, nil, 0o600), os.Remove(other)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("it went: %v", err)
	}
}
