package state

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"ec2net/metadata"
	"ec2net/test/lab"
	"ec2net/test/testkit"
)

// TestMain moves the tests into namespaces of their own, where they are root.
func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

var must = testkit.Must

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// open is a store in a folder of its own, which is not there yet.
func open(t testing.TB) Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "ec2net"))
	must(t, err)
	return s
}

// made is a store whose folder is there.
func made(t testing.TB) Store {
	t.Helper()
	s := open(t)
	must(t, s.makeFolder())
	return s
}

// mac is that of the interface of a number.
func mac(n byte) metadata.MAC { return metadata.MAC{2, 0, 0, 0, 0, n} }
