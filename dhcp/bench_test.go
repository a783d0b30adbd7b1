package dhcp

import (
	"testing"
	"time"
)

// BenchmarkAcquire is a whole acquisition from dnsmasq, the 20 ms of listening for a conflict
// among it.
func BenchmarkAcquire(b *testing.B) {
	bed := newBed(b)
	bed.dnsmasq()
	window := bed.iface.tuned.window
	for b.Loop() {
		if _, err := bed.acquire(nil, patience); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)-float64(window), "ns-without-window/op")
	b.ReportMetric(float64(window)/float64(time.Millisecond), "ms-window")
}
