package config

import (
	"errors"
	"path/filepath"
	"strings"
)

// hostKeys are the keys at the top of the file that are for the host and not for interfaces.
func hostKeys() []entry[func(*Config)] {
	return []entry[func(*Config)]{
		{"metrics_file", `an absolute path that ends in ".prom", such as "/var/lib/prometheus/node-exporter/ec2net.prom"`, metricsFile},
		{"priority", "a number from 1 to 9990", priority},
	}
}

// metricsFile reads the place of the metrics. The collector reads only what ends in ".prom".
func metricsFile(v value) (func(*Config), error) {
	if _, err := typed[string](v); err != nil {
		return nil, err
	}
	switch {
	case !filepath.IsAbs(v.text):
		return nil, errors.New("not an absolute path")
	case filepath.Clean(v.text) != v.text:
		return nil, errors.New("not the shortest form of the path")
	case len(v.text) > 1000:
		return nil, errors.New("too long")
	case strings.ContainsFunc(v.text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return nil, errors.New("contains a control character")
	case filepath.Ext(v.text) != ".prom":
		return nil, errors.New(`does not end in ".prom", and would not be read`)
	}
	return func(c *Config) { c.MetricsFile = v.text }, nil
}

// hostSetting takes a key for the host at the top of the file, and reports whether it is one.
func (r *reader) hostSetting(k expression) bool {
	e, ok := find(hostKeys(), k.parts[0])
	if !ok {
		return false
	}
	if r.section != nil {
		r.add(k.start, "%s is for the whole host: put it at the top of the file", e.name)
		return true
	}
	if set, ok := accept(r, e, k); ok {
		set(&r.config)
	}
	return true
}
