package lab

import "testing"

// Whatever the machine has set for its new namespaces, a host of the lab begins as the kernel does.
func TestStockSysctls(t *testing.T) {
	n := newCloud(t, Config{}).Client()
	must(t, n.Do(func() error {
		for name := range stock {
			for _, scope := range []string{"all", "default"} {
				must(t, writeSysctl("net/ipv4/conf/"+scope+"/"+name, "1"))
			}
		}
		must(t, writeSysctl("net/ipv4/conf/default/rp_filter", "2")) // as linux-sysctl-defaults has it
		return StockSysctls()
	}))
	for name, want := range stock {
		for _, scope := range []string{"all", "default"} {
			if got, err := n.ReadSysctl("net/ipv4/conf/" + scope + "/" + name); err != nil || got != want {
				t.Errorf("%s of %s: %q %v, want %s", name, scope, got, err, want)
			}
		}
	}
}
