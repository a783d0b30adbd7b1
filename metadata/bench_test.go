package metadata

import "testing"

// BenchmarkFirst is a fresh process's reading of an interface: connect, token, 6 keys.
func BenchmarkFirst(b *testing.B) {
	f := newFake(b, "plain")
	for b.Loop() {
		s := f.client(b)
		if _, err := s.Read(b.Context(), secondMAC); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

// BenchmarkAgain is the refresh of an interface that did not change: 2 keys.
func BenchmarkAgain(b *testing.B) {
	f := newFake(b, "plain")
	s := f.client(b)
	for b.Loop() {
		if _, err := s.Read(b.Context(), secondMAC); err != nil {
			b.Fatal(err)
		}
	}
}
