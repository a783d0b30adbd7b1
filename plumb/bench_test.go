package plumb

import (
	"context"
	"testing"
)

// BenchmarkRead is a look at an interface with 50 addresses.
func BenchmarkRead(b *testing.B) {
	host(b)
	l := open(b, "eth1")
	reconcile(b, l, many(50))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Read(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadByInterface is the same look at one that answers by interface, too.
func BenchmarkReadByInterface(b *testing.B) {
	host(b)
	l := open(b, "eth1")
	for range 2 {
		if err := l.Reconcile(context.Background(), answering(many(50), nil)).Err(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if s, err := l.Read(); err != nil || len(s.Packets) != 1 {
			b.Fatal(s.Packets, err)
		}
	}
}

// BenchmarkReadInACrowd is the same look where others have 2000 rules and 5000 routes.
func BenchmarkReadInACrowd(b *testing.B) {
	host(b)
	crowd(b, 2000, 5000)
	l := open(b, "eth1")
	reconcile(b, l, many(50))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Read(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReconcileNoChange is what a refresh costs.
func BenchmarkReconcileNoChange(b *testing.B) {
	host(b)
	l := open(b, "eth1")
	c := many(50)
	reconcile(b, l, c)
	b.ReportAllocs()
	for b.Loop() {
		if done, err := l.Reconcile(context.Background(), wanting(c)).both(); err != nil || len(done) != 0 {
			b.Fatal(err, done)
		}
	}
}

// BenchmarkApply50 sets up one interface with 50 addresses: 50 addresses, 51 rules, 4 routes.
func BenchmarkApply50(b *testing.B) {
	host(b)
	l := open(b, "eth1")
	was := found(b, l)
	plan, have := planned(b, l, many(50))
	b.ReportAllocs()
	b.ReportMetric(float64(len(plan)), "objects/op")
	for b.Loop() {
		if _, err := l.Apply(plan, have); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		leave(b, "eth1", was, 1)
		b.StartTimer()
	}
}
