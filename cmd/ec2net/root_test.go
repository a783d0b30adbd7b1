package main

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
)

func TestOldNames(t *testing.T) {
	for argv, want := range map[string][]string{
		"/usr/sbin/ec2ifup eth1":   {"up", "eth1"},
		"ec2ifdown eth1":           {"down", "eth1"},
		"./ec2ifscan":              {"scan"},
		"ec2net status":            {"status"},
		"/opt/ec2net/bin/ec2net x": {"x"},
	} {
		if got := args(strings.Fields(argv)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", argv, got, want)
		}
	}
}

// Nothing of this gets as far as the kernel: what is wrong is said before anything is opened.
func TestUsage(t *testing.T) {
	broken := write(t, "manage = true\nrefersh = \"30s\"\n")
	for _, tt := range []struct {
		args   string
		status int
		says   string
	}{
		{"up", exitUsage, "needs the name of one network interface"},
		{"up eth1 eth2", exitUsage, "needs the name of one network interface"},
		{"up ../../etc", exitUsage, "not an interface name"},
		{"run eth1%s", exitUsage, "not an interface name"},
		{"down a-name-too-long0", exitUsage, "longer than 15 bytes"},
		{"plan --nosuch eth1", exitUsage, "unknown flag: --nosuch"},
		{"--cloud moon up eth1", exitUsage, `--cloud "moon": choose auto, ec2, azure`},
		{"--log-level loud up eth1", exitUsage, `--log-level "loud"`},
		{"up --wait 0s eth1", exitUsage, "--wait 0s: must be more than 0"},
		{"up --wait soon eth1", exitUsage, "invalid"},
		{"frobnicate", exitUsage, "frobnicate"},
		{"help frobnicate", exitUsage, "unknown command \"frobnicate\" for \"ec2net\""},
		{"help", exitOK, ""},
		{"help up", exitOK, ""},
		{"status eth1 eth2", exitUsage, "one interface at most"},
		{"--cloud ec2 --config " + broken + " plan lo", exitUsage, broken + ":2:1"},
		{"--cloud ec2 up nosuch0", exitUsage, "no such network interface nosuch0 here"},
		{"--cloud ec2 up lo", exitUsage, "loopback"},
		{"--version", exitOK, ""},
		{"--help", exitOK, ""},
	} {
		var out, err bytes.Buffer
		got := execute(context.Background(), append([]string{"ec2net"}, strings.Fields(tt.args)...), streams{nil, &out, &err})
		if got != tt.status || !strings.Contains(err.String(), tt.says) {
			t.Errorf("ec2net %s: status %d, want %d; says:\n%s", tt.args, got, tt.status, err.String())
		}
	}
}
