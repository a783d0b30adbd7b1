package dhcp

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets more tests wait at the same time than there are CPUs: each has a kernel's worth of
// namespaces of its own, and spends its time waiting for T1, T2 and servers.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
