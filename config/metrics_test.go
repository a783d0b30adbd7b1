package config

import (
	"strings"
	"testing"
)

func TestMetricsFile(t *testing.T) {
	const good = "/var/lib/prometheus/node-exporter/ec2net.prom"
	if c := mustParse(t, "metrics_file = \""+good+"\"\n[[interface]]\nname = \"eth1\""); c.MetricsFile != good {
		t.Errorf("%q", c.MetricsFile)
	}
	if c := mustParse(t, ""); c.MetricsFile != "" {
		t.Errorf("without the key: %q", c.MetricsFile)
	}
	for text, want := range map[string]string{
		`metrics_file = 7`:                                             `a number; allowed: an absolute path that ends in ".prom"`,
		`metrics_file = ""`:                                            "not an absolute path",
		`metrics_file = "ec2net.prom"`:                                 "not an absolute path",
		`metrics_file = "/a/../b.prom"`:                                "not the shortest form of the path",
		`metrics_file = "/a//b.prom"`:                                  "not the shortest form of the path",
		`metrics_file = "/a/b.txt"`:                                    `does not end in ".prom"`,
		`metrics_file = "/a/\u001b[2J.prom"`:                           "contains a control character",
		`metrics_file = "/` + strings.Repeat("a", 1000) + `.prom"`:     "too long",
		"[[interface]]\nname = \"eth1\"\nmetrics_file = \"/a/b.prom\"": "3:1: metrics_file is for the whole host: put it at the top of the file",
		`metric_file = "/a/b.prom"`:                                    "did you mean metrics_file?",
	} {
		if _, err := Parse("x.toml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
}
