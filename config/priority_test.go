package config

import (
	"strings"
	"testing"
)

func TestPriority(t *testing.T) {
	for text, want := range map[string]uint32{
		"": 0, "priority = 1": 1, "priority = 9990": 9990, "priority = 1_000\n[[interface]]\nname = \"eth1\"": 1000,
		"priority = 1000\n[[interface]]\nname = \"eth1\"\nmain_table = false": 1000,
	} {
		if c := mustParse(t, text); c.For(Facts{Name: "eth1"}).Priority != want {
			t.Errorf("%q: %d", text, c.For(Facts{Name: "eth1"}).Priority)
		}
	}
	for text, want := range map[string]string{
		"priority = 0":                    "too small; allowed: a number from 1 to 9990",
		"priority = -1":                   "too small",
		"priority = 9991":                 "too large",
		"priority = 4294967297":           "too large",
		"priority = 99999999999999999999": "out of range",
		"priority = 1.5":                  "allowed: a number from 1 to 9990",
		"priority = \"1000\"":             "allowed: a number from 1 to 9990",
		"priority = [1000]":               "allowed: a number from 1 to 9990",
		"priorty = 1000":                  "did you mean priority?",
		"priority = 1\npriority = 2":      "set twice",
		"[[interface]]\nname = \"eth1\"\npriority = 1000": "3:1: priority is for the whole host: put it at the top of the file",
		"[egress]\ninterface = \"eth1\"\npriority = 1000": "unknown key",
	} {
		if _, err := Parse("x.toml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
