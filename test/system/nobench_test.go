//go:build system && !bench

package system

// peerRoot: the tests do without.
func peerRoot() (string, error) { return "", nil }
